"""Turns a Procfile command into what is started: the program itself if possible, or else a shell.

Without a shell, the pid that `mika status` shows is that of the service, and signals reach the service. A command that
needs a shell (for a pipe, a redirection, a glob) gets one. If possible, its last program replaces the shell (`exec`).
"""

from __future__ import annotations

import ntpath
import os
import re
import sys
from contextlib import suppress
from dataclasses import field
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING

from mika.config.settings import printable
from mika.errors import UsageError
from mika.frozen import frozen
from mika.procfile.words import REFERENCE, Operator, Part, Word, Words, reference_part, split
from mika.quoting import quoted
from mika.text import nearest
from mika.wording import Text, _

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# fmt: off
_KEYWORDS = frozenset((
    "!", "{", "}", "case", "do", "done", "elif", "else", "esac", "fi", "for", "function", "if", "in", "then", "until",
    "while",
))
_BUILTINS = frozenset((
    ".", ":", "alias", "bg", "break", "cd", "command", "continue", "eval", "exec", "exit", "export", "fc", "fg",
    "getopts", "hash", "jobs", "local", "read", "readonly", "return", "set", "shift", "source", "times", "trap", "type",
    "ulimit", "umask", "unalias", "unset", "wait",
))
_CMD_BUILTINS = frozenset((
    "assoc", "break", "call", "cd", "chdir", "cls", "color", "copy", "date", "del", "dir", "echo", "endlocal", "erase",
    "exit", "for", "ftype", "goto", "if", "md", "mkdir", "mklink", "move", "path", "pause", "popd", "prompt",
    "pushd", "rd", "rem", "ren", "rename", "rmdir", "set", "setlocal", "shift", "start", "time", "title", "type", "ver",
    "verify", "vol",
))
# fmt: on
# Only these are started without cmd.exe: it runs batch files, and what Windows has a program for (`.py` in PATHEXT).
_PROGRAMS = (".exe", ".com")
_RUNNERS = {
    ".py": "python",
    ".js": "node",
    ".mjs": "node",
    ".sh": "bash",
    ".ps1": "powershell -ExecutionPolicy Bypass -File",
    ".jar": "java -jar",
}


@frozen
class Command:
    """What to start: the arguments, or a whole command line for cmd.exe. `env` is added to the environment.

    `behind_shell`: it is run by a shell, so the pid may be that of the shell.
    """

    line: tuple[str, ...] | str
    behind_shell: bool = False
    env: dict[str, str] = field(default_factory=dict)


def build(
    command: str, env: Mapping[str, str], cwd: Path, platform: str = sys.platform, *, where: str = "Procfile"
) -> Command:
    """Raises UsageError that begins with `where`: an unclosed quote, an unset variable, a missing program."""
    builder = _Builder(command, env, cwd, windows=platform == "win32")
    try:
        return builder.build()
    except ValueError as error:
        raise UsageError(_("{where}: {problem}", where=where, problem=error)) from error


class NotOnPathError(ValueError):
    """Of a program that is called by its name alone."""

    def __init__(self, program: str) -> None:
        self.program = printable(program)
        super().__init__(
            _(
                "the program '{program}' is not on PATH; check its spelling,"
                " and whether mika uses the environment that has it (`mika config` shows which)",
                program=self.program,
            )
        )


class _Builder:
    def __init__(self, command: str, env: Mapping[str, str], cwd: Path, *, windows: bool) -> None:
        self.command = command
        self.cwd = cwd
        self.windows = windows
        # On Windows, `Path` and `PATH` are the same variable.
        self.env = {name.upper(): value for name, value in env.items()} if windows else env

    def build(self) -> Command:
        words = split(self.command, windows=self.windows)
        items = list(words.items)
        assignments: list[Word] = []
        while items and isinstance(items[0], Word) and items[0].is_assignment:
            assignments.append(items[0])
            del items[0]
        if not items:
            raise ValueError(_("has no command; write the program to run"))
        is_simple = not words.is_opaque and not any(isinstance(item, Operator) for item in items)
        if (
            is_simple
            and self._head(items) == "exec"
            and len(items) > 1
            and not str(self._head(items[1:])).startswith("-")
        ):
            items = items[1:]
        head = self._head(items) or ""
        if self.windows:
            _check_shell(head)
        is_shell_word = head.lower() in _CMD_BUILTINS if self.windows else head in _KEYWORDS | _BUILTINS
        needs_shell = not is_simple or words.has_patterns or is_shell_word
        if needs_shell and not self.windows:
            return self._posix_shell(words)
        extra = self._extra_env(assignments)
        if needs_shell:
            return self._windows_shell(self._for_cmd(items, words.end), extra)
        argv = [text for item in items for text in self._fields(item)]
        if not argv:
            raise ValueError(_("is empty once its variables are filled in; write the program to run"))
        program = self._program(argv[0], extra.get("PATH"))
        if self.windows and not program.lower().endswith(_PROGRAMS):
            rest = self._for_cmd(items[1:], words.end, has_program=True)
            return self._windows_shell(f'"{program}" {rest}'.rstrip(), extra)
        if not self.windows and _is_plain_script(program):
            argv = ["/bin/sh", program, *argv[1:]]
        else:
            argv[0] = program
        return Command(tuple(argv), env=extra)

    def _extra_env(self, assignments: Sequence[Word]) -> dict[str, str]:
        """The leading `NAME=value` words: each may use those before it, but the command's arguments may not."""
        before, extra = self.env, dict[str, str]()
        for word in assignments:
            name, _equals, value = "".join(self._value(part) for part in word.parts).partition("=")
            extra[name.upper() if self.windows else name] = value
            self.env = {**before, **extra}
        self.env = before
        return extra

    @staticmethod
    def _head(items: Sequence[Word | Operator]) -> str | None:
        first = items[0] if items else None
        return first.literal if isinstance(first, Word) else None

    def _value(self, part: Part) -> str:
        if part.kind == "text":
            return part.text
        value = self.env.get(part.text.upper() if self.windows else part.text)
        if part.kind == "%":
            return f"%{part.text}%" if value is None else value
        if part.default is not None:
            return value or part.default
        if value is None:
            if self.windows and part.text.lower() == "env":
                raise ValueError(_("$env:NAME is known to PowerShell only; write $NAME or %NAME%"))
            raise ValueError(_unset(part.text, self.env))
        return value

    def _fields(self, item: Word | Operator) -> list[str]:
        """The arguments that a word expands to. As in a shell, an unquoted variable may expand to none or several."""
        fields: list[str] = []
        current: str | None = None
        for part in item.parts if isinstance(item, Word) else []:
            value = self._value(part)
            if part.kind == "text" or part.quoted:
                current = (current or "") + value
                continue
            if value[:1].isspace() and current is not None:
                fields.append(current)
                current = None
            for index, piece in enumerate(value.split()):
                if index and current is not None:
                    fields.append(current)
                    current = None
                current = (current or "") + piece
            if value[-1:].isspace() and current is not None:
                fields.append(current)
                current = None
        return fields if current is None else [*fields, current]

    def _posix_shell(self, words: Words) -> Command:
        segments: list[list[Word]] = [[]]
        operators: list[str] = []
        redirected = False
        for item in words.items:
            if isinstance(item, Word):
                # The word after a redirection is a file name.
                if not redirected:
                    segments[-1].append(item)
                redirected = False
            elif item.text[0] in "<>":
                redirected = True
            else:
                operators.append(item.text)
                segments.append([])
        commands = [[word for word in segment if not word.is_assignment] for segment in segments]
        heads = [self._head(command) for command in commands]
        is_plain = not words.is_opaque and not any(head in _KEYWORDS for head in heads)
        if is_plain and not operators and commands[0] and heads[0] not in _BUILTINS:
            # A single program with redirections or globs gets the same checks as one without a shell.
            first = [text for word in commands[0] for text in self._fields(word)][:1]
            if heads[0] is not None and first and not any(c in first[0] for c in "*?[~"):
                self._program(first[0])
        text = self.command
        if is_plain and set(operators) <= {"&&", "||", ";"} and "trap" not in heads:
            text = self._with_exec(segments[-1], commands[-1])
        return Command(("/bin/sh", "-c", text), behind_shell=True)

    def _with_exec(self, segment: list[Word], command: list[Word]) -> str:
        """`a && b` as `a && exec b`: otherwise dash would stay as the parent of b."""
        if not command or self._head(command) in _BUILTINS:
            return self.command
        assignments = segment[: segment.index(command[0])]
        # A shell splits and globs the arguments of `env`, but not assignments.
        if any(part.kind != "text" and not part.quoted for word in assignments for part in word.parts):
            return self.command
        if any(c in (word.literal or "") for word in assignments for c in "*?[~"):
            return self.command
        start = segment[0].start
        return f"{self.command[:start]}exec {'env ' if assignments else ''}{self.command[start:]}"

    def _for_cmd(self, items: Sequence[Word | Operator], end: int, *, has_program: bool = False) -> str:
        """The text of the items for cmd.exe, which expands only %NAME%, has no single quotes, and takes a `/` in the
        name of a program for the beginning of an option.
        """
        pieces, at, is_program = list[str](), items[0].start if items else end, not has_program
        for item in items:
            if isinstance(item, Operator):
                is_program = item.text in "&|"
                continue
            source, part = self.command[item.start : end], item.parts[0]
            if source.startswith("'") and part.quoted:
                pieces += [self._filled_in(self.command[at : item.start]), quoted(part.text, "win32")]
                at = item.start + len(part.text) + 2
            elif is_program and (path := _path_with_slashes(item.literal or "")) and source.startswith(path):
                pieces += [self._filled_in(self.command[at : item.start]), path.replace("/", "\\")]
                at = item.start + len(path)
            is_program = False
        return "".join([*pieces, self._filled_in(self.command[at:end])])

    def _filled_in(self, text: str) -> str:
        return REFERENCE.sub(lambda match: self._value(reference_part(match)), text)

    def _windows_shell(self, text: str, extra: dict[str, str]) -> Command:
        if str(self.cwd).startswith("\\\\"):  # it would run the command in the folder of Windows
            raise ValueError(
                _(
                    "needs cmd.exe, which cannot work in {folder}; give it a drive letter"
                    ' (`net use N: "{share}"`), and start mika there',
                    folder=self.cwd,
                    share=PureWindowsPath(self.cwd).drive,
                )
            )
        comspec = self.env.get("COMSPEC") or "cmd.exe"
        # /s: cmd only strips the outer quotes; /d: it runs no AutoRun command from the registry.
        return Command(f'"{comspec}" /d /s /c "{text}"', behind_shell=True, env=extra)

    def _program(self, program: str, path: str | None = None) -> str:
        """The absolute path of a program. Raises ValueError if it cannot be run."""
        has_folder = "/" in program or (self.windows and ("\\" in program or bool(ntpath.splitdrive(program)[0])))
        if has_folder:
            # as_posix, so that a Windows path can be looked up on any system.
            folders = [self.cwd]
            relative = PureWindowsPath(program).as_posix() if self.windows else program
        else:
            if path is None:
                path = self.env.get("PATH", os.defpath)
            # On POSIX, an empty entry is the current folder.
            entries = path.split(";" if self.windows else ":")
            folders = [self.cwd / folder for folder in entries if folder or not self.windows]
            if self.windows:
                folders.insert(0, self.cwd)  # where CreateProcess and cmd look first
            relative = program
        candidates = [folder / name for folder in folders for name in self._file_names(relative)]
        for candidate in candidates:
            if _is_file(candidate) and (self.windows or os.access(candidate, os.X_OK)):
                return os.path.abspath(candidate)  # noqa: PTH100 - resolve() would follow a venv's symlink out of the venv
        shown = printable(program)
        if self.windows:
            self._check_is_program(relative, folders, shown)
        if has_folder:
            if any(_is_file(candidate) for candidate in candidates):
                raise ValueError(_("'{program}' is not executable; run: chmod +x {program}", program=shown))
            raise ValueError(
                _(
                    "the program '{program}' does not exist in {folder}; check its spelling",
                    program=shown,
                    folder=self.cwd,
                )
            )
        alternative = {"python3": "python", "python": "python3" if not self.windows else "py"}.get(program)
        if alternative and self._exists(alternative):
            raise ValueError(
                _(
                    "the program '{program}' is not on PATH; write '{other}', or create an environment: uv sync",
                    program=shown,
                    other=alternative,
                )
            )
        raise NotOnPathError(program)

    def _check_is_program(self, relative: str, folders: Sequence[Path], shown: str) -> None:
        """Raises ValueError for a file that is there, and that Windows does not run."""
        other = re.sub(r"\bbin/python[\d.]*$", "Scripts/python", relative)
        if other != relative and any(_is_file(folder / name) for folder in folders for name in self._file_names(other)):
            other = other.replace("/", "\\")
            raise ValueError(
                _(
                    "'{program}' is '{other}' on Windows; write that, or only 'python': mika finds the environment",
                    program=shown,
                    other=other,
                )
            )
        if not any(_is_file(folder / relative) for folder in folders):
            return
        runner = _RUNNERS.get(Path(relative).suffix.lower())
        command = f"'{runner} {shown}'" if runner else _("the program that does, and then '{program}'", program=shown)
        raise ValueError(
            _("Windows does not run '{program}' by itself; write {command}", program=shown, command=command)
        )

    def _exists(self, program: str) -> bool:
        path = self.env.get("PATH", "")
        folders = [Path(folder) for folder in path.split(";" if self.windows else ":") if folder]
        return any(_is_file(folder / name) for folder in folders for name in self._file_names(program))

    def _file_names(self, program: str) -> list[str]:
        if not self.windows:
            return [program]
        extensions = (self.env.get("PATHEXT") or ".COM;.EXE;.BAT;.CMD").lower().split(";")
        as_given = [program] if program.lower().endswith(tuple(filter(None, extensions))) else []
        return [*as_given, *(program + extension for extension in extensions if extension)]


def _check_shell(head: str) -> None:
    """Raises ValueError for a word that is a command of other shells only."""
    if head in {"source", "."}:
        raise ValueError(
            _("'{word}' is not known to cmd.exe; leave it out: mika uses the Python environment by itself", word=head)
        )
    if head == "export":
        raise ValueError(_("'export' is not known to cmd.exe; write NAME=value before the program"))


def _path_with_slashes(program: str) -> str:
    """The same if it is a path with `/`, else an empty text: `cd/d` and `dir/b` have an option."""
    first, slash, _rest = program.partition("/")
    return program if slash and first and first.lower() not in _CMD_BUILTINS else ""


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long
        return False


def _is_plain_script(program: str) -> bool:
    """A script without `#!`: the system does not run it (ENOEXEC), but every shell does."""
    with suppress(OSError), Path(program).open("rb") as file:
        head = file.read(256)
        return not head.startswith(b"#!") and b"\0" not in head
    return False


def _unset(name: str, env: Mapping[str, str]) -> Text:
    if near := nearest(name, env):
        return _(
            "{variable} is not set; did you mean {near}?; set it in .env or in the environment",
            variable=f"${name}",
            near=near,
        )
    return _("{variable} is not set; set it in .env or in the environment", variable=f"${name}")
