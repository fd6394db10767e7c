"""Ctrl-C while mika is imported, or where Python cannot raise it: the program ends, and shows no traceback."""

from __future__ import annotations

import subprocess
import sys

import pytest

# `raise_signal` is Ctrl-C at a known place, and works on Windows.
AT_AN_IMPORT = """
import _signal, sys
wanted = sys.argv.pop(1)
assert wanted not in sys.modules
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == wanted:
            _signal.raise_signal(_signal.SIGINT)
sys.meta_path.insert(0, Finder())
from mika.cli.main import main
main()
"""
IN_A_CALLBACK = """
import _signal, sys, time, weakref
from mika.cli import main
def ends(_reference):  # at the end of an import there is such a callback, and what it raises is only printed
    _signal.raise_signal(_signal.SIGINT)
def run(_argv):
    class Lock: pass
    lock = Lock()
    reference = weakref.ref(lock, ends)
    try:
        del lock
        time.sleep(90)
    except KeyboardInterrupt:
        return 130
    return 0
main.run = run
main.main()
"""
IN_A_CLASS = """
import _signal
from mika.cli import main
class Field:
    def __set_name__(self, owner, name):  # before Python 3.12, what it raises becomes a RuntimeError
        _signal.raise_signal(_signal.SIGINT)
def make_context(*_arguments, **_options):
    class Model:
        field = Field()
main.cli.make_context = make_context
main.main()
"""
BETWEEN_THE_LINES = """
import _signal
from mika.cli import main
main.run = lambda _argv: _signal.raise_signal(_signal.SIGINT)
main.main()
"""


def result(code: str, *arguments: str) -> tuple[int, str]:
    """Exit code and output of a program."""
    command = [sys.executable, "-P", "-c", code, *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
    return done.returncode, done.stdout


@pytest.mark.parametrize("module", ["contextlib", "signal", "typing", "click", "mika.wording", "mika.cli.config_"])
def test_ctrl_c_at_an_import_is_no_traceback(module: str) -> None:
    assert result(AT_AN_IMPORT, module, "config") == (130, "")


@pytest.mark.parametrize(
    "code", [IN_A_CALLBACK, IN_A_CLASS, BETWEEN_THE_LINES], ids=["in a callback", "in a class", "between the lines"]
)
def test_ctrl_c_that_nobody_can_catch_ends_the_program(code: str) -> None:
    assert result(code) == (130, "")
