"""Where a part of the running stack can be reached: `mika url` and `mika open`."""

from __future__ import annotations

from collections.abc import Callable

from mika import address
from mika.errors import MikaError
from mika.machine import http
from mika.status import StackStatus, UnitStatus
from mika.text import unknown_name
from mika.wording import _, listed

UI, API, DOCS = "ui", "api", "docs"
_DOCS = ("/docs", "/redoc", "/openapi.json")
"""Where a web app describes itself: FastAPI, Litestar and others."""
_SECONDS = 2.0

Ask = Callable[[str], int | None]
"""The status with which a web page answers; None if nobody speaks HTTP there."""


def page(status: StackStatus, what: str, ask: Ask) -> str:
    """The web address of `ui`, `api`, `docs`, or a process or service; without `what` of the UI, or the only one.

    Raises UsageError for an unknown name, and MikaError for what has no page.
    """
    found = place(status, what or _first(status), ask)
    if "://" not in found:
        raise MikaError(
            _("{name} has no page: it listens at {address}", name=what, address=found),
            _("`mika url {name}` prints that", name=what),
            code="no_page",
        )
    return found


def place(status: StackStatus, what: str, ask: Ask) -> str:
    """As `page`; of what does not speak HTTP, host and port."""
    units = status.matching(what)  # a process may have the name `ui`
    if not units and what == UI:
        return _of_ui(status)
    if not units and what == DOCS:
        return _of_docs(status, ask)
    if not units and what == API:
        return _apps(status, ask)[0]
    if not units:
        names = dict.fromkeys([*(unit.name for unit in status.units), UI, API, DOCS])
        raise unknown_name(_("process or service"), what, names)
    for unit in units:
        if found := _of_unit(status, unit, ask):
            return found
    raise MikaError(
        _("{name} is {state}, and listens nowhere", name=what, state=units[0].state_in_words),
        _("`mika describe {name}` says more", name=what),
        code="no_page",
    )


def answers(url: str) -> int | None:
    """Asks at most 2 s."""
    answer = http.request("GET", url, proxies=http.DIRECT, timeout=_SECONDS)
    return answer.status if answer.kind == "http" else None


def _first(status: StackStatus) -> str:
    if "temporal_ui" in status.urls:
        return UI
    names = [unit.name for unit in status.processes if unit.listens or _url(status, unit)]
    if len(names) == 1:
        return names[0]
    if not names:
        raise MikaError(_("nothing here has a page"), "`mika status`", code="no_page")
    commands = listed(f"`mika open {name}`" for name in names)
    raise MikaError(
        _("there is no UI of Temporal here"), _("say what to open: {commands}", commands=commands), code="no_page"
    )


def _of_ui(status: StackStatus) -> str:
    url = status.urls.get("temporal_ui")
    if url is None:
        raise MikaError(_("there is no UI of Temporal here"), _("`mika status` shows what there is"), code="no_page")
    return url


def _of_docs(status: StackStatus, ask: Ask) -> str:
    for url in _apps(status, ask):
        for path in _DOCS:
            if ask(f"{url.rstrip('/')}{path}") == 200:
                return f"{url.rstrip('/')}{path}"
    raise MikaError(
        _("no app answers at {paths}", paths=listed(_DOCS)), _("`mika status` shows what there is"), code="no_page"
    )


def _apps(status: StackStatus, ask: Ask) -> list[str]:
    found = [url for unit in status.processes if (url := _of_unit(status, unit, ask)) and "://" in url]
    if not found:
        raise MikaError(
            _("no process of this stack speaks HTTP"), _("`mika status` shows what there is"), code="no_page"
        )
    return found


def _of_unit(status: StackStatus, unit: UnitStatus, ask: Ask) -> str:
    """Empty if it listens nowhere."""
    if url := _url(status, unit):
        return url
    if unit.role == "service":
        return unit.address
    for listens in unit.listens:
        host, _, port = listens.rpartition(":")
        url = address.http_url(host.strip("[]"), int(port))
        return url if ask(url) is not None else url.removeprefix("http://")
    return ""


def _url(status: StackStatus, unit: UnitStatus) -> str:
    if unit.role == "process":
        return address.origin(unit.address) if unit.address.startswith(("http://", "https://")) else ""
    return status.urls.get(unit.name.replace("-", "_"), "")
