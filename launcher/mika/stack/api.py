"""Ask the API of the stack in this folder, over HTTP: mika knows nothing of the bot but its routes."""

from __future__ import annotations

from mika.config.load import Config
from mika.errors import MikaError, NotRunningError
from mika.machine import http, ports
from mika.project.folder import ProjectDir
from mika.quoting import quoted
from mika.readiness import webhook
from mika.wording import _


def ask(
    config: Config, method: str, path: str, *, timeout: float, own_header: bool = False, max_body: int = http.MAX_BODY
) -> http.Answer:
    """The API's answer, whatever its status. `own_header`: a header that no web page can send unasked.

    Raises NotRunningError if nothing answers and no stack is running here, or that of another folder has the port;
    MikaError if the API does not answer.
    """
    check_whose_port(config)
    headers = webhook.secret_header(config) | ({"X-Mika": "1"} if own_header else {})
    url = f"{config.api_url}{path}"
    answer = http.request(method, url, proxies=http.DIRECT, timeout=timeout, headers=headers, max_body=max_body)
    if answer.kind == "http":
        return answer
    text = _("the API at {url} does not answer: {why}", url=config.api_url, why=answer.reason)
    if answer.kind == "refused" and not ProjectDir(config.project).is_locked():
        raise NotRunningError(
            _("no stack is running in {folder}, and {more}", folder=config.project, more=text),
            _("start it: `mika up`"),
        )
    raise MikaError(text, _("`mika doctor` says what listens there"), code="api_unreachable")


def said(value: object) -> str:
    """A text in the API's answer, which may be one that can be translated; empty if there is none."""
    return value if isinstance(value, str) else str(value or "")


def check_whose_port(config: Config) -> None:
    """Raise NotRunningError if the stack of this folder is down and that of another folder uses the API's port.

    Otherwise that bot would answer, with different code and a different history, and the user would not notice.
    """
    if ProjectDir(config.project).is_locked():
        return
    port = config.port("API_PORT")
    if other := ports.find_other_stack(config.text("API_HOST"), port, config.project):
        raise NotRunningError(
            _(
                "no stack is running in {folder}: port {port} (API_PORT) is that of the stack in {other}",
                folder=config.project,
                port=port,
                other=other,
            ),
            _(
                "`mika up` here, with another API_PORT; or, for that one, `-C {folder}` after `mika`",
                folder=quoted(other),
            ),
        )
