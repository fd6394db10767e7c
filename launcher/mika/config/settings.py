"""The table of settings: name, default, allowed values, and how much of a value may be shown."""

from __future__ import annotations

import re
from dataclasses import field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mika.errors import UsageError
from mika.frozen import frozen
from mika.wording import Text, _, listed

if TYPE_CHECKING:
    from collections.abc import Callable

Value = str | int | float | None
BACKENDS = ("auto", "docker", "embedded", "external", "none")
MASK = "********"
# A longer wait overflows the timers of the operating system, and is surely a mistake.
LONGEST_S = 365 * 86_400.0
# Temporal's server limits the workflow task timeout to this.
LONGEST_WORKFLOW_TASK_S = 120.0

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_SECRET_NAME = re.compile(
    r"KEY|SECRET|TOKEN|PASS|PWD|CREDENTIAL|AUTH|GRPC_META|COOKIE|(?<![A-Z])(?:PAT|DSN|JWT)(?![A-Z])|WEBHOOK(?:_UR[IL])?$",
    re.IGNORECASE,
)
# Up to the last @: a password may contain an unescaped one, and masking too much is the safer mistake.
_URL_PASSWORD = re.compile(r"(?<=://)([^:/?#@\s]*):[^\s]*@")
_URL_PARAMETER = re.compile(r"([?&][^=&\s]*(?:pass|token|secret|key|properties)[^=&\s]*=)[^&\s]*", re.IGNORECASE)
# `Server=h;Password=…` and `--password=…`, up to the next semicolon: there may be spaces in it, too.
_PAIR = re.compile(
    r"(?<![a-z])((?:password|passwd|pass|pwd|secret|token|(?:account|access|api)[ _-]?key)\s*=\s*)(?!\*)[^;]+",
    re.IGNORECASE,
)


@frozen
class Kind:
    """The values that a setting accepts. `parse` converts the text, or raises ValueError that says what is wrong."""

    expected: str
    parse: Callable[[str], Value]
    toml: tuple[type, ...] = (str,)


@frozen
class Variable:
    """One row of the table. A `default` of None means optional: then an empty value is the same as an unset one."""

    name: str
    default: Value
    kind: Kind
    secret: bool = False

    @property
    def key(self) -> str:
        """The name in `mika.toml` and `[tool.mika]`."""
        return self.name.removeprefix("MIKA_").lower()


@frozen
class Setting:
    """A resolved setting. `origin` is `default`, `file:line`, `environment` or the option that set it."""

    name: str
    value: Value = field(repr=False)
    raw: str = field(repr=False)
    origin: str
    secret: bool
    shown: str


def mask(name: str, value: str, *, secret: bool = False) -> str:
    """The value as it may be printed: nothing of a secret, and a URL or a connection string without its password."""
    if value and (secret or _SECRET_NAME.search(name)):
        return MASK
    shown = _URL_PARAMETER.sub(rf"\1{MASK}", _URL_PASSWORD.sub(rf"\1:{MASK}@", value))
    return _PAIR.sub(rf"\1{MASK}", shown)


def as_text(value: Value) -> str:
    """The value as text, as in the environment of a child process."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def make_setting(variable: Variable, raw: str, origin: str, name: str | None = None) -> Setting:
    """Parse and check `raw`. Raises UsageError that names `origin`, where the setting is called `name`."""
    text = raw.strip()
    shown = mask(variable.name, text, secret=variable.secret)
    label = name or variable.name
    value: Value = None
    if text or variable.default is not None:
        if not text:
            raise UsageError(
                _(
                    "{where}: {name} is empty; give {expected}, or remove it",
                    where=origin,
                    name=label,
                    expected=variable.kind.expected,
                )
            )
        try:
            value = variable.kind.parse(text)
        except ValueError as error:
            raise UsageError(_misfit(variable, label, printable(shown), origin, error)) from error
    return Setting(variable.name, value, raw, origin, shown != text, shown)


def _misfit(variable: Variable, name: str, shown: str, origin: str, problem: ValueError) -> Text:
    expected = variable.kind.expected
    if variable.secret:
        return _(
            "{where}: {name} has a value that {problem}; give {expected}",
            where=origin,
            name=name,
            problem=problem,
            expected=expected,
        )
    return _(
        "{where}: {name} is '{value}', which {problem}; give {expected}",
        where=origin,
        name=name,
        value=shown,
        problem=problem,
        expected=expected,
    )


def default_setting(variable: Variable) -> Setting:
    text = as_text(variable.default)
    return Setting(variable.name, variable.default, text, _("default"), secret=False, shown=text)


def printable(text: str) -> str:
    """The text on one line, shortened to 80 characters."""
    line = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
    return line if len(line) <= 80 else line[:77] + "..."


def parse_number(text: str) -> float:
    if not _NUMBER.fullmatch(text):
        raise ValueError(_("is not a number"))
    return float(text)


def parse_port(text: str) -> int:
    if not re.fullmatch(r"[+-]?\d+", text, re.ASCII):
        raise ValueError(_("is not a port number"))
    # The length first: int() fails with another error for very long numbers.
    if len(text) > 5 or not 1 <= int(text) <= 65535:
        raise ValueError(_("is out of range"))
    return int(text)


def parse_http_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid or not text.isprintable() or " " in text:
        raise ValueError(_("is not a web address"))
    return text


def _number(expected: str, *, low: float = 0.0, high: float = LONGEST_S, zero: bool = False) -> Kind:
    def parse(text: str) -> float:
        number = parse_number(text)
        if number < low or (number == 0 and not zero):
            raise ValueError(_("is too small"))
        if number > high:
            raise ValueError(_("is too large (at most {highest})", highest=as_text(high)))
        return number

    return Kind(expected, parse, (int, float))


def _backend(text: str) -> str:
    if text not in BACKENDS:
        from mika.text import nearest

        match = nearest(text, BACKENDS)
        raise ValueError(_("is not a backend (did you mean '{name}'?)", name=match) if match else _("is not a backend"))
    return text


def _host(text: str) -> str:
    if "://" in text or "/" in text:
        raise ValueError(_("is a URL or a path"))
    if text.count(":") == 1:
        raise ValueError(_("contains a port, which is a separate setting"))
    if not text.isprintable() or any(c in " ,;[]@?#" for c in text):
        raise ValueError(_("is not a host name"))
    return text


def _word(text: str) -> str:
    if not text.isprintable():
        raise ValueError(_("contains a line break or a control character"))
    return text


def _header_value(text: str) -> str:
    # Keys are sent in HTTP headers, where a placeholder such as <填入> would fail with an encoding error.
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError(_("contains a space, a line break or a non-ASCII character"))
    return text


def _yes_or_no(text: str) -> str:
    """As Temporal's SDKs read it; they ignore any other word."""
    try:
        return {"true": "true", "1": "true", "false": "false", "0": "false"}[text.lower()]
    except KeyError:
        raise ValueError(_("is neither true nor false")) from None


def _any(text: str) -> str:
    return text


def _mongodb_url(text: str) -> str:
    scheme, separator, rest = text.partition("://")
    if not separator or scheme not in {"mongodb", "mongodb+srv"} or not rest.strip("/") or not text.isprintable():
        raise ValueError(_("is not a MongoDB address"))
    return text


def _database(text: str) -> str:
    # https://www.mongodb.com/docs/manual/reference/limits/#naming-restrictions
    if len(text.encode()) > 63 or not text.isprintable() or any(c in '/\\. "$*<>:|?' for c in text):
        raise ValueError(_("is not a database name"))
    return text


_SECONDS = _number(_("a number of seconds greater than 0, such as 60"))
_PORT = Kind(_("a whole number from 1 to 65535"), parse_port, (int,))
_HOST = Kind(_("only a host name or IP address, such as 127.0.0.1"), _host)
_WORD = Kind(_("a name on one line"), _word)
_URL = Kind(_("an address such as https://example.com/v1"), parse_http_url)
_KEY = Kind(_("only the key, in ASCII characters"), _header_value)
_PATH = Kind(_("a path"), _word)
_PEM = Kind(_("a certificate or key in PEM format"), _any)

VARIABLES: tuple[Variable, ...] = (
    Variable("MIKA_BACKEND", "auto", Kind(_("one of {names}", names=listed(BACKENDS)), _backend)),
    Variable("MIKA_TIMEOUT", 120.0, _SECONDS),
    Variable("MIKA_HANG_TIMEOUT", 5.0, _number(_("a number of seconds, or 0 to switch it off"), zero=True)),
    Variable("MIKA_CHECK", "true", Kind(_("true or false"), _yes_or_no)),
    Variable("MIKA_LOG_MAX_MB", 64.0, _number(_("a number of megabytes greater than 0, such as 64"), high=1e6)),
    Variable("TEMPORAL_HOST", "127.0.0.1", _HOST),
    Variable("TEMPORAL_PORT", 7233, _PORT),
    Variable("TEMPORAL_NAMESPACE", "default", _WORD),
    Variable("TEMPORAL_UI_PORT", 8088, _PORT),
    Variable("TEMPORAL_RETENTION", 3.0, _number(_("a number of days, 1 to 3650"), low=1.0, high=3650)),
    Variable("TEMPORAL_TASK_QUEUE", "mika-bot-task-queue", _WORD),
    Variable("TEMPORAL_PROFILE", None, _WORD),
    Variable("TEMPORAL_CONFIG_FILE", None, _PATH),
    Variable("TEMPORAL_API_KEY", None, _KEY, secret=True),
    Variable("TEMPORAL_TLS", None, Kind(_("true or false"), _yes_or_no, (str, bool))),
    Variable("TEMPORAL_TLS_SERVER_NAME", None, _HOST),
    Variable("TEMPORAL_TLS_SERVER_CA_CERT_PATH", None, _PATH),
    Variable("TEMPORAL_TLS_SERVER_CA_CERT_DATA", None, _PEM, secret=True),
    Variable("TEMPORAL_TLS_CLIENT_CERT_PATH", None, _PATH),
    Variable("TEMPORAL_TLS_CLIENT_CERT_DATA", None, _PEM, secret=True),
    Variable("TEMPORAL_TLS_CLIENT_KEY_PATH", None, _PATH),
    Variable("TEMPORAL_TLS_CLIENT_KEY_DATA", None, _PEM, secret=True),
    Variable("API_HOST", "127.0.0.1", _HOST),
    Variable("API_PORT", 8000, _PORT),
    Variable("WORKFLOW_EXECUTION_TIMEOUT", 120.0, _SECONDS),
    Variable("WORKFLOW_RUN_TIMEOUT", 60.0, _SECONDS),
    Variable(
        "WORKFLOW_TASK_TIMEOUT",
        30.0,
        _number(_("a number of seconds greater than 0, up to 120 (Temporal's maximum)"), high=LONGEST_WORKFLOW_TASK_S),
    ),
    Variable("MONGODB_URL", None, Kind(_("an address such as mongodb://127.0.0.1:27017"), _mongodb_url)),
    Variable("MONGODB_DATABASE", "mika_bot", Kind(_("letters, digits, _ and -, at most 63"), _database)),
    Variable("LLM_BASE_URL", None, _URL),
    Variable("LLM_API_KEY", None, _KEY, secret=True),
    Variable("LLM_MODEL", None, _WORD),
    Variable("LANGBOT_API_BASE_URL", None, _URL),
    Variable("LANGBOT_API_KEY", None, _KEY, secret=True),
    Variable("WEBHOOK_SECRET", None, _KEY, secret=True),
)
BY_NAME = {variable.name: variable for variable in VARIABLES}
BY_KEY = {variable.key: variable for variable in VARIABLES}
