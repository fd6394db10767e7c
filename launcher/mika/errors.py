"""The errors that users see: what is wrong, how to fix it, and the exit code."""

from __future__ import annotations

from mika.wording import Text, _

OK, FAILED, USAGE, NOT_RUNNING, INTERRUPTED = 0, 1, 2, 3, 130


class MikaError(Exception):
    """An expected failure. It is printed as one line and a hint, never as a traceback.

    `code` is a stable identifier for `--json`; `exit_code` is the exit code of the command.
    """

    exit_code = FAILED
    code = "failed"

    def __init__(self, message: str, hint: str = "", *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if code is not None:
            self.code = code

    @property
    def brief_hint(self) -> str:
        """For where there is one line only: empty if it has several."""
        return "" if "\n" in self.hint else self.hint


class UsageError(MikaError):
    """Wrong usage or configuration: where it is, what is wrong, how to fix it."""

    exit_code = USAGE
    code = "invalid_configuration"


class NotRunningError(MikaError):
    """The command needs a running stack, but none is running in this folder."""

    exit_code = NOT_RUNNING
    code = "not_running"


class InterruptedByUserError(MikaError):
    """Ctrl-C."""

    exit_code = INTERRUPTED
    code = "interrupted"


_LONGEST = 300
"""Characters of an error that is not of ours."""
_CONNECTION: dict[type[BaseException], str] = {
    ConnectionRefusedError: _("connection refused"),
    ConnectionResetError: _("connection reset"),
    ConnectionAbortedError: _("connection aborted"),
}


def describe(error: BaseException | None) -> str:
    """An error in one line, if it is not in words of ours already; the name of its type only if it has no message."""
    if error is None:
        return ""
    if isinstance(error, MikaError):
        return error.message
    if isinstance(error, ConnectionError) and error.errno is not None:
        # Not the message of the OS, which depends on its language.
        return _CONNECTION.get(type(error), error.strerror or _("connection failed"))
    if len(error.args) == 1 and isinstance(error.args[0], Text):
        return error.args[0]
    text = " ".join(str(error).split())
    return _shortened(text) or type(error).__name__


def _shortened(text: str) -> str:
    """So that it shows that something is missing, and not in the middle of a word."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST].rpartition(' ')[0] or text[:_LONGEST]} …"
