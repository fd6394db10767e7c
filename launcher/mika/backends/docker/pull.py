"""Pulls missing images, with progress. The engine keeps finished layers, so the next pull continues from there."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Any

from mika.backends.docker.explain import pull_failure
from mika.backends.docker.services import Service
from mika.reason import Reason
from mika.wording import _

if TYPE_CHECKING:
    from docker import DockerClient

_DONE = ("Pull complete", "Already exists", "Download complete", "Verifying Checksum", "Extracting")


class PullError(Exception):
    """An image could not be pulled, for `reason`."""

    def __init__(self, image: str, reason: Reason) -> None:
        super().__init__(reason.text)
        self.image, self.reason = image, reason


class Pull:
    """The pull of one image."""

    def __init__(self, image: str, platform: str | None) -> None:
        self.image, self._platform = image, platform
        self._began = time.monotonic()
        self._layers: dict[str, tuple[int, int]] = {}
        self._finished: set[str] = set()
        self._lock = threading.Lock()
        self._stream: Any = None
        self._stopped = False
        self._shown, self._shown_at = _("pulling {image}", image=image), 0.0

    def run(self, client: DockerClient) -> None:
        """Pull the image in this thread. Raises PullError."""
        from docker.errors import DockerException
        from docker.utils import parse_repository_tag

        repository, tag = parse_repository_tag(self.image)
        try:
            stream = client.api.pull(repository, tag or "latest", stream=True, decode=True, platform=self._platform)
            self._stream = stream
            for line in stream:
                if self._stopped:
                    return
                if error := line.get("error"):
                    raise PullError(self.image, pull_failure(self.image, str(error)))
                self._update(line)
        except (DockerException, OSError) as error:
            if not self._stopped:
                text = str(getattr(error, "explanation", None) or error)
                raise PullError(self.image, pull_failure(self.image, text)) from None

    def stop(self) -> None:
        """The engine cancels a pull when its client disconnects."""
        self._stopped = True
        with contextlib.suppress(Exception):
            self._stream.close()

    def progress(self) -> str:
        """`pulling mongo:8.0: 45 of 210 MB, 12.3 MB/s, 3 of 8 layers`; changes at most once a second."""
        now = time.monotonic()
        if now - self._shown_at < 1.0:
            return self._shown
        with self._lock:
            layers, finished = dict(self._layers), len(self._finished)
        if layers:
            received_mb = sum(received for received, _total in layers.values()) / 1e6
            self._shown = _(
                "pulling {image}: {received:.0f} of {total:.0f} MB, {rate:.1f} MB/s, {finished} of {layers} layers",
                image=self.image,
                received=received_mb,
                total=sum(total for _received, total in layers.values()) / 1e6,
                rate=received_mb / max(0.1, now - self._began),
                finished=finished,
                layers=len(layers),
            )
        self._shown_at = now
        return self._shown

    def _update(self, line: dict[str, Any]) -> None:
        layer, status, detail = line.get("id"), str(line.get("status")), line.get("progressDetail") or {}
        with self._lock:
            if layer and status == "Downloading" and detail.get("total"):
                self._layers[layer] = int(detail.get("current", 0)), int(detail["total"])
            elif layer and status.startswith(_DONE) and layer in self._layers:
                total = self._layers[layer][1]
                self._layers[layer] = total, total
                self._finished.add(layer)


def find_missing(client: DockerClient, services: tuple[Service, ...]) -> list[Service]:
    """One service for each image that the engine does not have. Blocks."""
    from docker.errors import ImageNotFound

    missing: dict[str, Service] = {}
    for service in services:
        if not service.image or service.image in missing:
            continue
        try:
            client.images.get(service.image)
        except ImageNotFound:
            missing[service.image] = service
    return list(missing.values())
