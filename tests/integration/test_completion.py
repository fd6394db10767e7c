"""Completion in real shells, and mika as an extension of Temporal's own command."""

from __future__ import annotations

import subprocess

import pytest

from tests.kit.machine import posix_only
from tests.kit.shells import needs_shell

# Each asks its shell what `mika st<Tab>` would offer.
ASK = {
    "bash": 'eval "$(mika completion bash)"; COMP_WORDS=(mika st); COMP_CWORD=1; _mika_completion mika; '
    'printf "%s\\n" "${COMPREPLY[@]}"',
    "zsh": "autoload -U compinit; compinit -u -D; compadd() { print -l ${(P)@[-1]:-}; }; "
    'eval "$(mika completion zsh)"; print ${+functions[_mika_completion]} ${_comps[mika]}',
    "fish": "mika completion fish | source; complete -C 'mika st'",
}


@posix_only
@pytest.mark.parametrize("shell", ASK)
def test_a_real_shell_completes_commands(project, shell):
    needs_shell(shell)
    this = project(scripts={})
    done = subprocess.run([shell, "-c", ASK[shell]], env=this.environ(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done
    if shell == "zsh":  # its completion needs a terminal; here only that it is registered
        assert done.stdout.split() == ["1", "_mika_completion"], done
    else:
        words = {line.split("\t")[0] for line in done.stdout.splitlines()}
        assert words == {"status", "stop", "start"}, done


def test_powershell_is_answered_by_its_script(project):
    this = project(scripts={})
    script = this.ok("completion", "powershell").out
    assert "Register-ArgumentCompleter -Native -CommandName mika" in script
    asked = {"_MIKA_COMPLETE": "powershell_complete", "COMP_WORDS": "mika sta", "COMP_CWORD": "sta"}
    answer = this.mika(env=asked, process=True)
    assert [line.split("\t")[0] for line in answer.out.splitlines()] == ["plain,status", "plain,start"], answer


def test_an_unknown_shell_is_one_line(project):
    result = project(scripts={}).error("completion", "tcsh", code=2)
    assert "bash, zsh, fish, powershell" in result.err


@posix_only
def test_temporals_own_command_runs_mika(project):
    this = project(scripts={})
    command = ["temporal", "mika", "-C", str(this.folder), "status"]
    done = subprocess.run(command, env=this.environ(), capture_output=True, text=True, check=False)
    assert "no stack is running" in done.stderr, done
    assert done.returncode == 3


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("restart w", ["web", "worker"]),
        ("up we", ["web"]),
        ("up --debug wo", ["worker"]),
        ("logs m", ["mika"]),
        ("describe ", ["web", "worker"]),
        ("open ", ["api", "docs", "ui", "web", "worker"]),
        ("help e", ["exit-codes"]),
        ("help do", ["doctor", "down"]),
    ],
)
def test_names_are_completed_where_one_is_expected(project, typed, offered):
    this = project("web: serve\nworker: work\n")
    words = typed.split(" ")
    asked = {"_MIKA_COMPLETE": "bash_complete", "COMP_WORDS": f"mika -C {this.folder} {typed}"}
    answer = this.mika(env=asked | {"COMP_CWORD": str(2 + len(words))}, process=True)
    assert [line.removeprefix("plain,") for line in answer.out.splitlines()] == offered
