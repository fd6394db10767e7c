"""Inlined images: files beside the history. A workflow holds only a reference, as its own history is limited and kept.

A reference is `file:NAME`, or the image's address on the web.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import os
import re
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from src.chat.content import Picture

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from src.config import Settings
    from src.messages import Question

log = structlog.get_logger("mika.worker")

MAX_IMAGE_BYTES = 10 * 1024 * 1024
MAX_IMAGES = 8
"""Of one message that are shown to the model."""
_MAX_NOTES = 3
_MAX_URL = 2000
_KEPT = 24 * 3600.0
"""Seconds. A message is answered within minutes; the file outlives a repeated run of its workflow."""
_CLEAN_EVERY, _CLEAN_REGULARLY = 60.0, 900.0
"""Seconds: while images come, and always."""
_SHARE = 16
"""The folder is looked at again after a sixteenth of what may be kept. Each look leaves that much free."""
_NAME = re.compile(r"[0-9a-f]{64}\.(png|jpeg|gif|webp)")


class ImageError(Exception):
    """The image is not taken; the text says why."""


class ImageStore:
    """Content-addressed: the same image is kept once. The methods block, and are called in threads."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._share = max_bytes // _SHARE
        self._cleaned_at = 0.0
        self._added = 0
        """Bytes since then."""
        self._lock = threading.Lock()

    def save(self, data: bytes) -> str:
        """The reference. Raises `ImageError`."""
        if len(data) > MAX_IMAGE_BYTES:
            raise ImageError(f"larger than {MAX_IMAGE_BYTES // 1024 // 1024} MB")
        kind = _kind_of(data)
        if not kind:
            raise ImageError("neither PNG, JPEG, GIF nor WebP")
        name = f"{hashlib.sha256(data).hexdigest()}.{kind}"
        path = self._folder / name
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                os.utime(path)  # its age begins anew
            except FileNotFoundError:
                self._write(path, data)
                self._clean_after(len(data))
        except OSError as error:
            raise ImageError(f"cannot be stored: {error.strerror or error}") from None
        return f"file:{name}"

    def load(self, reference: str) -> str:
        """What the model is given: the address, or a `data:` URL. Raises `ImageError`."""
        if reference.startswith(("http://", "https://")):
            return reference
        name = reference.removeprefix("file:")
        if not _NAME.fullmatch(name):
            raise ImageError("not a reference to an image")
        try:
            data = (self._folder / name).read_bytes()
        except OSError as error:
            raise ImageError(f"cannot be read from {self._folder}: {error.strerror or error}") from None
        return f"data:image/{name.rpartition('.')[2]};base64,{base64.b64encode(data).decode()}"

    def _write(self, path: Path, data: bytes) -> None:
        descriptor, name = tempfile.mkstemp(dir=self._folder, suffix=".part")  # with mode 0600
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            Path(name).replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise

    def _clean_after(self, added: int) -> None:
        with self._lock:
            self._added += added
            if self._added >= self._share or not 0 <= time.time() - self._cleaned_at < _CLEAN_EVERY:
                self.clean()
                self._added = 0

    def clean(self) -> None:
        """Remove what is too old, and the oldest of what is too much. Raises `OSError`."""
        self._cleaned_at = now = time.time()
        total = self._share
        for modified, size, path in sorted(_files(self._folder), reverse=True):
            total += size
            if now - modified > _KEPT or total > self._max_bytes:
                with contextlib.suppress(OSError):  # open elsewhere (Windows): the next time
                    path.unlink()


async def clean_now_and_then(store: ImageStore) -> None:
    """Until it is cancelled: nothing is kept for longer than a day, also if no other image comes."""
    while True:
        try:
            await asyncio.to_thread(store.clean)
        except FileNotFoundError:
            pass  # no image has come yet
        except OSError as error:
            log.warning("images_not_cleaned", error=str(error))
        await asyncio.sleep(_CLEAN_REGULARLY)


def make_image_store(settings: Settings) -> ImageStore:
    return ImageStore(settings.mika_history_file.parent / "images", settings.image_store_mb * 1024 * 1024)


async def keep(pictures: Iterable[Picture], store: ImageStore) -> tuple[list[str], list[str]]:
    """References to what the model can be shown, and why the others cannot. Never raises for an image."""
    references: list[str] = []
    refused: list[str] = []
    for picture in pictures:
        if len(references) == MAX_IMAGES:
            refused.append(f"only the first {MAX_IMAGES} are shown")
            break
        reason = "neither its address nor its content was sent"
        # The content first: an address of QQ soon expires.
        if picture.base64:
            try:
                references.append(await asyncio.to_thread(lambda text: store.save(_decoded(text)), picture.base64))
                continue
            except ImageError as error:
                reason = str(error)
        if picture.url.startswith(("http://", "https://")) and len(picture.url) <= _MAX_URL:
            references.append(picture.url)
        else:
            refused.append(reason)
    return references, refused


def notes_on(refused: Sequence[str]) -> str:
    """For the model, after the text of the message."""
    notes = [f"\n[an image cannot be shown: {reason}]" for reason in refused[:_MAX_NOTES]]
    if more := len(refused) - len(notes):
        notes.append(f"\n[{more} more cannot be shown]")
    return "".join(notes)


async def with_images(question: Question, store: ImageStore) -> tuple[str, list[str]]:
    """The message and its images as the model is given them. One that is gone is said, and does not stop the rest."""
    shown: list[str] = []
    message = question.message
    for reference in question.images:
        try:
            shown.append(await asyncio.to_thread(store.load, reference))
        except ImageError as error:
            log.warning("image_not_shown", error=str(error))
            message += "\n[an image cannot be shown: it is no longer there]"
    return message, shown


def _decoded(text: str) -> bytes:
    """Plain base64, `base64://…` or `data:image/png;base64,…`; also in lines, and without the padding at its end."""
    if text.startswith("base64://"):
        text = text.removeprefix("base64://")
    elif text.startswith("data:"):
        text = text.partition(",")[2]
    text = "".join(text.split()).rstrip("=")
    if len(text) > MAX_IMAGE_BYTES * 4 // 3 + 4:
        raise ImageError(f"larger than {MAX_IMAGE_BYTES // 1024 // 1024} MB")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        raise ImageError("not valid base64") from None


def _kind_of(data: bytes) -> str:
    """By its first bytes, whatever the sender calls it; empty for an unknown format."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if data.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    return "webp" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else ""


def _files(folder: Path) -> list[tuple[float, int, Path]]:
    found = []
    for path in folder.iterdir():
        with contextlib.suppress(OSError):
            state = path.stat()
            found.append((state.st_mtime, state.st_size, path))
    return found
