"""Exit codes in words."""

from __future__ import annotations

import signal

from mika.wording import _

# Windows exit codes that developers see most often (ntstatus.h)
_NTSTATUS = {
    0xC0000005: _("access violation"),
    0xC0000142: _("a DLL failed to start"),
    0xC0000135: _("a DLL was not found"),
    0xC000013A: _("stopped by Ctrl-C"),
    0xC0000409: _("aborted"),
}


def describe(code: int) -> str:
    """An exit code in words: `exit code 3`, `killed by SIGKILL`, `exit code 0xC0000005 (access violation)`."""
    if code < 0:
        try:
            return _("killed by {signal}", signal=signal.Signals(-code).name)
        except ValueError:
            return _("killed by signal {number}", number=-code)
    if code > 0xFFFF:
        meaning = _NTSTATUS.get(code)
        return (
            _("exit code 0x{code:08X} ({meaning})", code=code, meaning=meaning)
            if meaning
            else _("exit code 0x{code:08X}", code=code)
        )
    return _("exit code {code}", code=code)
