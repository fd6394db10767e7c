"""The one error that a user ever sees: what is wrong, how to fix it, and the exit code that says which kind it is."""

from __future__ import annotations

OK, FAILED, USAGE, NOT_RUNNING, INTERRUPTED = 0, 1, 2, 3, 130


class MikaError(Exception):
    """An expected failure, printed as one line (plus a hint), never as a traceback.

    `code` is the stable identifier for `--json`; `exit_code` is what the shell gets.
    """

    exit_code = FAILED
    code = "failed"

    def __init__(self, message: str, hint: str = "", *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if code is not None:
            self.code = code


class UsageError(MikaError):
    """Wrong usage or configuration: where, what is wrong, how to mend it."""

    exit_code = USAGE
    code = "invalid_configuration"


class NotRunningError(MikaError):
    """The command needs a running stack and there is none in this folder."""

    exit_code = NOT_RUNNING
    code = "not_running"


class InterruptedByUserError(MikaError):
    """Ctrl-C."""

    exit_code = INTERRUPTED
    code = "interrupted"


_CONNECTION: dict[type[BaseException], str] = {
    ConnectionRefusedError: "connection refused",
    ConnectionResetError: "connection reset",
    ConnectionAbortedError: "connection aborted",
}


def describe(error: BaseException | None) -> str:
    """Any error as one short line for a person; the type's name only where the error has no words."""
    if error is None:
        return ""
    if isinstance(error, ConnectionError) and error.errno is not None:
        return _CONNECTION.get(type(error), error.strerror or "connection failed")  # the OS's words differ by language
    text = " ".join(str(error).split())
    return (text or type(error).__name__)[:300]
