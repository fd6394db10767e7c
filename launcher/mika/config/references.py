"""Fills in the variables that the options of a process name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from string import Template

from mika.address import reachable_url
from mika.wording import Text, _

_REFERENCE = re.compile(r"\$\{([A-Za-z_]\w*)\}")


def names(text: str, variable: str) -> bool:
    """Whether the text has `$variable`."""
    return re.search(rf"\$\{{?{variable}\b", text) is not None


def fill_in(ready: str, known: Mapping[str, str]) -> str:
    """The rule with its variables (`$API_PORT`) filled in. Raises ValueError for one that is not set.

    A regular expression and a command have `$` of their own. A web address is where to ask: at loopback, if the server
    listens on all interfaces (API_HOST=0.0.0.0).
    """
    if ready.startswith(("log:", "exec:")):
        return ready
    try:
        filled = Template(ready).substitute(known) if "$" in ready else ready
    except KeyError as error:
        raise ValueError(_unset(error.args[0])) from None
    return reachable_url(filled) if filled.startswith(("http://", "https://")) else filled


def filled_env(env: Mapping[str, str], known: Mapping[str, str], unset: str | None = None) -> dict[str, str]:
    """The variables of a process with each `${NAME}` filled in; any other `$` is itself.

    `unset` is the value of those that are not `known`; if it is None, they raise ValueError.
    """

    def value(found: re.Match[str]) -> str:
        text = known.get(found[1], unset)
        if text is None:
            raise ValueError(_unset(found[1]))
        return text

    return {name: _REFERENCE.sub(value, text) for name, text in env.items()}


def _unset(variable: str) -> Text:
    return _("needs {variable}, which is not set", variable=variable)
