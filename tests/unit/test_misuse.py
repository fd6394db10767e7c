"""Wrong usage is told in one voice: what is wrong, the nearest name, where to read more."""

from __future__ import annotations

import shlex

import pytest
from mika.cli.main import cli, run
from mika.quoting import quoted

CASES = {
    "stats": "there is no command 'stats'; did you mean 'status'?\nsee `mika --help`",
    "workflows retri x": "there is no command 'workflows retri'; did you mean 'retry'?\nsee `mika workflows --help`",
    "up --bakend x": "there is no option '--bakend'; did you mean '--backend'?\nsee `mika up --help`",
    "up --zzz": "there is no option '--zzz'\nsee `mika up --help`",
    "workflows reset --stuk": "there is no option '--stuk'; did you mean '--stuck'?\nsee `mika workflows reset --help`",
    "status -C 'a b'": f"-C belongs before the command\n`mika -C {quoted('a b')} status`",
    "attach": "NAME is missing\nsee `mika attach --help`",
    "workflows export a": "-o is missing\nsee `mika workflows export --help`",
    "logs --lines": "--lines: its value is missing\nsee `mika logs --help`",
    "workflows -n": "-n: its value is missing\nsee `mika workflows --help`",
    "-C": "-C: its value is missing\nsee `mika --help`",
    "logs --follow=3": "--follow: it takes no value\nsee `mika logs --help`",
    "logs -n x": "-n/--lines: 'x' is not a whole number of 0 or more",
    "check --closed 2000": "--closed: '2000' is not a whole number from 0 to 1000",
    "check --timeout 0": "--timeout: '0' is not a number of 1 or more",
    "doctor --timeout 0": "--timeout: '0' is not a number above 0 and up to 600",
    "completion fsh": "SHELL: there is no 'fsh'; did you mean 'fish'?\none of bash, zsh, fish, powershell",
    "attach a b": "'b' is too much\nsee `mika attach --help`",
    "run Hello Bob": "'Bob' is too much\n`--input` takes an argument of the workflow; see `mika run --help`",
    "doctor w1": "'w1' is too much\n`--workflow` takes the id of a workflow; see `mika doctor --help`",
    "send hello there": "'there' is too much\nput quotes around what has spaces; see `mika send --help`",
    "why-silent a b": "'b' is too much\nput quotes around what has spaces; see `mika why-silent --help`",
    "send --as lanbot hi": "--as: there is no 'lanbot'; did you mean 'langbot'?",
    "status x y": "'x y' is too much\nsee `mika status --help`",
}


@pytest.mark.parametrize(("typed", "told"), CASES.items(), ids=CASES.keys())
def test_what_is_wrong_and_what_may_have_been_meant(tmp_path, monkeypatch, capsys, typed, told):
    monkeypatch.chdir(tmp_path)
    assert run(shlex.split(typed)) == 2
    first, *more = told.splitlines()
    assert capsys.readouterr().err.splitlines() == [f"mika: {first}", *(f"      {line}" for line in more)]


def test_no_command_has_a_kind_of_value_with_words_of_its_own():
    """`click.Choice` and the like have click's words: kinds.py has the same kinds with ours."""
    from mika.cli import kinds

    def every(command):
        yield command
        for name in command.list_commands(None) if hasattr(command, "list_commands") else ():
            yield from every(command.get_command(None, name))

    ours = (kinds.Choice, kinds.Whole, kinds.Number)
    for command in every(cli):
        for param in command.params:
            kind = type(param.type).__name__
            is_plain = kind in ("StringParamType", "BoolParamType", "Path", "UnprocessedParamType")
            assert isinstance(param.type, ours) or is_plain, (command.name, param.name, kind)
