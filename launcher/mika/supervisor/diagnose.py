"""Find out from the last lines of a process why it exited, and whether a restart could help."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import Literal

from mika.frozen import frozen
from mika.reason import NONE, Reason
from mika.supervisor.output import telling
from mika.wording import _

# Lines of output that name a permanent cause: one that remains until somebody changes a file or a setting. The policy
# still allows one restart, because an editor may have been in the middle of saving.
_PERMANENT = [
    re.compile(r"^(ModuleNotFoundError|ImportError|IndentationError|TabError)\b"),
    re.compile(r"^SyntaxError\b(?!.*\bJSON\b)"),  # Node: what it has received is no file of the project
    re.compile(r"Error loading ASGI app\b"),  # uvicorn: the import string is wrong
    (_NO_MODULE := re.compile(r"No module named ['\"]?(\w+)\S*")),  # `python -m missing` does not print a traceback
    re.compile(r"can't open file '.*': \[Errno 2\]"),
    (_NO_NODE_MODULE := re.compile(r"\bCannot find (?:module|package) ['\"]((?:@[\w.-]+/)?\w[\w.-]*)?")),
    (
        _NO_PROGRAM := re.compile(
            r"^(?:/bin/)?\w*sh: (?:line )?(?:\d+: )?[\w.-]+: (?:command )?not found$"
            r"|^npm (?:error|ERR!) npx canceled due to missing packages\b"
        )
    ),
    (_BUNDLE := re.compile(r"^Error: Webpack finished with errors\b")),  # of workflows, in the worker of Temporal
    re.compile(r"^stat \S+: directory not found$|^stat \S+\.go: no such file or directory$"),  # `go run`
    re.compile(
        r"^(go: )?no required module provides package |^go: (go\.mod file not found|updates to go\.mod needed)\b"
    ),
    re.compile(r"^npm error Missing script: "),
    (_NO_ENV_FILE := re.compile(r"^node: (\S.{0,200}): not found$")),  # of `--env-file`
    re.compile(r"^node: (bad option: |.* is not allowed in NODE_OPTIONS$)"),
    (
        _NOT_SET := re.compile(  # caarlos0/env, envconfig (two of them), Spring
            r"\brequired environment variable \"(\w+)\" is not set|\brequired key ([A-Z][A-Z0-9_]*) missing value$"
            r"|: missing required value: ([A-Z][A-Z0-9_]*)$|\bCould not resolve placeholder '([A-Z][A-Z0-9_]*)'"
        )
    ),
    (
        _NAMESPACE := re.compile(r"[Nn]amespace ['\"]?([^\s'\"]+)['\"]? (is|was) not found")
    ),  # the SDKs, when a worker starts
    (_TLS := re.compile(r"Failed client connect: .*\bInvalidContentType\b")),  # to a server that has none
    re.compile(r"^RuntimeError: Failed validating workflow "),  # Temporal's Python SDK: its code cannot be imported
    (_INVALID_SETTINGS := re.compile(r"\d validation errors? for \w*(Settings|Config)\b")),  # pydantic
    (_BROKEN_STORE := re.compile(r"file is not a database")),  # SQLite
    (_READ_ONLY_STORE := re.compile(r"attempt to write a readonly database")),  # SQLite: after a `sudo mika up`
    (
        _PORT_TAKEN := re.compile(
            r"[Aa]ddress already in use|Errno 10048|only one usage of each socket address|\bPort \d+ was already in use"
        )
    ),
]
_NOT_BUILT = re.compile(
    r"\bCannot find (?:module|package) '(?:/|\w:[/\\])[^']*[/\\](?:dist|lib|build|out)[/\\](?!.*node_modules)[^']*'"
)
"""Node, of a file in a folder that usually has what was compiled."""
# What a compiler says of one place in a file. It may say more of what follows from it, so the first line counts.
_COMPILERS = [
    re.compile(r"\berror TS\d+: "),
    re.compile(r"^\S.*\.[cm]?[jt]sx?:\d+:\d+: ERROR: "),  # esbuild, in tsx
    re.compile(r"^\S+\.go:\d+:\d+: "),  # with a column: a program's own log has none
    re.compile(r"^\[ERROR\] .*\.(java|kt):\[\d+,\d+\] |\.java:\d+: error: "),  # under Maven, and by itself
]
_KEY_ERROR = re.compile(r"KeyError: '(\w+)'$")
_VARIABLE = "[A-Z][A-Z0-9_]+"
# What libraries raise for want of a variable of the environment: environs and omegaconf, django-environ and the clients
# of models, decouple, starlette; and what programs say themselves.
_UNSET = re.compile(
    r"(?:\w+\.)*(?:\w*(?:Error|Exception)|ImproperlyConfigured): (?:.*\b)?(?:"
    rf"Environment variable ['\"]({_VARIABLE})['\"] not (?:set|found)"
    rf"|(?i:set|setting) the [`'\"]?({_VARIABLE})[`'\"]? environment variable\b"
    rf"|({_VARIABLE}) not found\. Declare it as envvar\b"
    rf"|Config '({_VARIABLE})' is missing, and has no default"
    rf"|({_VARIABLE}) (?:environment|env) var(?:iable)? (?:is |was )?(?:not set|required|missing|must be set)\b"
    rf"|(?:environment|env) variable:? [`'\"]?({_VARIABLE})[`'\"]? (?:is |was )?(?:not set|required|missing)\b)"
)
_OF_ENVIRON = re.compile(r"File \"(<frozen os>|.*[/\\]os\.py)\", line \d+, in __getitem__")
_NUMBER = re.compile(r"(?<!rrno )(?<!rrno: )(?<!Error )(?<!code: )\b\d{2,5}\b")
_DATE_OR_ADDRESS = re.compile(r"\d+([-/:.])\d+(\1\d+)+(\.\d+)?")
_SYNTAX = ("SyntaxError", "IndentationError", "TabError")
_ERROR_LINE = re.compile(
    r"^(\w+\.)*\w*(Error|Exception|Interrupt|Exit)\b.*|.*\b(error|fatal|panic|APPLICATION FAILED)\b.*|^Caused by: \S.*",
    re.IGNORECASE,
)


# Exit codes of sh and cmd.exe when they cannot run the program. cmd.exe prints its message in the user's language.
_NOT_FOUND_CODES = {126: _("cannot be executed"), 127: _("program not found"), 9009: _("program not found")}


def before_last_crash(lines: Sequence[str]) -> Sequence[str]:
    """The lines before Python's dump of a crash in its last moments, if it was an error that ended the program.

    That error is the reason of the end, and not the crash: some SDKs have threads that want Python when it is no longer
    there (measured for Temporal's: 1 of 15 ends on a busy machine). All lines, if it was not so.
    """
    for number, line in enumerate(lines[1:-1], 1):
        is_dump = line.startswith("Fatal Python error:") and "state: finalizing" in lines[number + 1]
        if is_dump and _ERROR_LINE.match(lines[number - 1]):
            return lines[:number]
    return lines


def ended_itself(code: int, lines: Sequence[str]) -> bool:
    """Whether it ended by itself: not by a signal, or by one that only came when it was about to end."""
    return code >= 0 or before_last_crash(lines) is not lines


_UNCAUGHT = re.compile(r"^(\w+\.)*\w*(Error|Exception)\b")


def ends_with_error(lines: Sequence[str]) -> bool:
    """Whether the last that it has said is a traceback of Python: some servers exit with 0 after that."""
    *_earlier, frame, error = ("", "", *filter(None, lines))
    return frame.startswith("  ") and _UNCAUGHT.match(error) is not None


def find_permanent_cause(lines: Sequence[str], code: int) -> Reason:
    """What the output says of a cause that a restart cannot fix, and the fix that it names; or NONE."""
    said = telling(before_last_crash(lines))
    number = _permanent(said)
    if number is not None:
        return _told(said, number)
    return Reason(find_error_line(lines) or _NOT_FOUND_CODES[code]) if code in _NOT_FOUND_CODES else NONE


@frozen
class Missing:
    """What a program did not find: a package of Python or Node, what a build makes, or a program to run."""

    kind: Literal["python", "node", "built", "program"]
    name: str = ""


def find_missing(lines: Sequence[str], code: int) -> Missing | None:
    """What was not found; None if the cause that a restart cannot fix is another one."""
    said = telling(before_last_crash(lines))
    number = _permanent(said)
    text = "" if number is None else said[number]
    if missing := _NO_MODULE.search(text):
        return Missing("python", missing[1])
    if _NOT_BUILT.search(text):
        return Missing("built")
    if (missing := _NO_NODE_MODULE.search(text)) and missing[1]:
        return Missing("node", missing[1])
    is_program = _NO_PROGRAM.search(text) or (not text and code in _NOT_FOUND_CODES)
    return Missing("program") if is_program else None


def _permanent(said: Sequence[str]) -> int | None:
    """The number of the line that names a cause which a restart cannot fix."""
    for number in reversed(range(max(0, len(said) - 20), len(said))):
        is_permanent = any(pattern.search(said[number]) for pattern in _PERMANENT)
        if is_permanent or _compiler(said[number]) or _missing_variable(said, number):
            return number
    return None


def _told(said: Sequence[str], number: int) -> Reason:
    """What the line `number` says, with what it means from the lines around it, and the fix that the program names."""
    text = said[number]
    if compiler := _compiler(text):
        number = next(index for index, line in enumerate(said) if compiler.search(line))
        text = said[number]
    if _BUNDLE.match(text):
        return Reason(_bundle_error(said[:number]) or text[:_LONGEST])
    if text.startswith(_SYNTAX):
        return Reason((text + _location(said[:number]))[:_LONGEST])
    if remedy := _REMEDY.match(text):
        commands = {line for line in said if line.startswith(("go get ", "go mod "))}
        command = commands.pop() if len(commands) == 1 else "go mod tidy"
        return Reason(remedy[1][:_LONGEST], _("run `{command}`", command=command))
    return Reason(_whole(said, number), _fix(said, number))


def _fix(said: Sequence[str], number: int) -> str:
    """What to do about the line `number`; empty if that is not known."""
    text = said[number]
    if missing := _NAMESPACE.search(text):
        return _(
            "let it use TEMPORAL_NAMESPACE, or add `{name}` to `namespaces` under [temporal] in mika.toml",
            name=missing[1],
        )
    if _TLS.search(text):
        return _("this server speaks no TLS: connect to it without `tls` and `api_key`")
    if _INVALID_SETTINGS.search(text) and "Field required" in text:
        return _("set what is required in .env")
    if missing := _NO_ENV_FILE.match(text):
        return _("make {file}, or take `--env-file` out of the command", file=missing[1])
    if _NOT_BUILT.search(text):
        return _("a build usually makes this file: run the build first")
    if variable := _missing_variable(said, number):
        return _("set {name} in .env", name=variable)
    if _BROKEN_STORE.search(text):
        return _("its database file (of `temporal`: .mika/data/temporal.db) is broken: restore a copy, or move it away")
    if _READ_ONLY_STORE.search(text):
        return _(
            "its database file (of `temporal`: .mika/data/temporal.db) cannot be written:"
            " check who owns it, and whether it is read-only"
        )
    return _fix_for_sandbox(said[:number])


def _missing_variable(said: Sequence[str], number: int) -> str:
    """The variable of the environment for want of which Python, or a library, raised an error; empty if it did not."""
    if unset := _UNSET.match(said[number]) or _NOT_SET.search(said[number]):
        return next((str(name) for name in unset.groups() if name), "")
    name = _KEY_ERROR.match(said[number])
    frame = next((line for line in reversed(said[:number]) if line.startswith("File ")), "")
    return name[1] if name and _OF_ENVIRON.match(frame) else ""


_FOREIGN = r"<|.*[/\\](?:(?:site|dist)-packages|lib[/\\]python3[.\d]*|Python3\d*[/\\]Lib)[/\\]"
_OWN_FRAME = re.compile(rf'File "(?!{_FOREIGN}).+", line \d+, in ')


def _fix_for_sandbox(earlier: Sequence[str]) -> str:
    """Temporal's Python SDK imports the file of a workflow once more, in its sandbox, with all that runs on import."""
    cause = _first_cause(earlier)
    if cause.startswith("RuntimeError: asyncio.run() cannot be called from a running event loop"):
        return _('put what starts the worker below `if __name__ == "__main__":`')
    if ".RestrictedWorkflowAccessError: " not in cause:
        return ""
    before = earlier[: list(earlier).index(cause)]
    own = [pair for pair in itertools.pairwise(before) if _OWN_FRAME.match(pair[0])]
    if not own or not own[-1][1].startswith(("import ", "from ")):
        return ""
    frame, statement = own[-1]
    return _(
        "{place} imports it for a workflow, too: write `{statement}` there within"
        " `with workflow.unsafe.imports_passed_through():`",
        place=_location([frame]).strip(" ()"),
        statement=statement,
    )


def _compiler(text: str) -> re.Pattern[str] | None:
    return next((pattern for pattern in _COMPILERS if pattern.search(text)), None)


# What Go says when it knows the remedy, and gives it in the next line.
_REMEDY = re.compile(r"(.*); to (?:add(?: it)?|update it):$")


def is_port_taken(cause: str) -> bool:
    return _PORT_TAKEN.search(cause) is not None


def numbers(cause: str) -> list[int]:
    """The numbers of a line that may be ports, the most likely one first: the port comes after a time or a pid."""
    return [int(text) for text in reversed(_NUMBER.findall(_DATE_OR_ADDRESS.sub("", cause)))]


def _location(earlier: Sequence[str]) -> str:
    """` (src/app.py:12)`: Python and Node print the location of a syntax error above the error."""
    for text in reversed(earlier):
        match = re.match(r'File "(.+)", line (\d+)', text) or re.match(r"(?:file://)?((?:/|\w:[/\\]).+):(\d+)$", text)
        if match:
            return f" ({match[1]}:{match[2]})"
    return ""


_IN_FILE = re.compile(r"\bERROR in (?=\S*[./])")
_LOADER = re.compile(r"Module build failed \(from \S+\):")
_PLACE = re.compile(r"\[(\S+:\d+:\d+)\]$")


def _bundle_error(earlier: Sequence[str]) -> str:
    """`ERROR in ./src/workflows.ts 14:0: Module parse failed: ...`: webpack's first error, which has several lines."""
    for number, text in enumerate(earlier):
        if match := _IN_FILE.search(text):
            logged = text[: match.start()]  # what the logger of the worker may put before each line
            prefix = re.compile(re.sub(r"\d+", r"\\d+", re.escape(logged)))
            details = [prefix.sub("", line, count=1) for line in earlier[number + 1 : number + 4]]
            details = [detail for detail in details if not _LOADER.match(detail)]
            place = next((f" ({found[1]})" for detail in details if (found := _PLACE.search(detail))), "")
            what = " ".join(details[0].split()) if details else ""
            return f"{text[match.start() :]}: {what}{place}"[:_LONGEST]
    return ""


_LONGEST = 300
# A Java exception is told by its class; for one in a build, Maven names the goal and the project first.
_AROUND_ERROR = re.compile(
    r"^(Caused by: |\[cause\]: |\[ERROR\] (Failed to execute goal .* on project \S+: |(?=.*\.(java|kt):\[)))"
    r"| -> \[Help \d+\]$"
)
_GRPC_STATUS = re.compile(r'Status \{ code: \w+, message: "(.*?)", .*')  # in Rust, and so in Temporal's Python SDK


def find_error_line(lines: Sequence[str]) -> str:
    """The line that most likely explains an exit: the last one that looks like an error, else the last one.

    The last one also where an error has causes: Java and Node print the first cause at the end, Python at the start.
    """
    said = telling(before_last_crash(lines))
    for number in reversed(range(max(0, len(said) - 10), len(said))):
        if _ERROR_LINE.match(said[number]) or _compiler(said[number]):
            return _told(said, number).text
    return said[-1][:_LONGEST] if said else ""


def _whole(said: Sequence[str], number: int) -> str:
    """The line, and the next one if it only announces that."""
    text = said[number]
    following = said[number + 1] if number + 1 < len(said) else ""
    if following and (text.endswith(":") or (text.endswith("cannot find symbol") and "symbol:" in following)):
        detail = following.removeprefix("[ERROR]").removeprefix("-").strip()
        text = f"{text.rstrip(':')}: {' '.join(detail.removeprefix('symbol:').split())}"
    cause = _first_cause(said[:number])
    if cause and cause not in text:
        text = f"{text}: {cause}"
    return _GRPC_STATUS.sub(r"\1", _AROUND_ERROR.sub("", text))[:_LONGEST]


_TRACEBACK = "Traceback (most recent call last):"
_DIRECT_CAUSE = "The above exception was the direct cause of the following exception:"


def _first_cause(earlier: Sequence[str]) -> str:
    """Where a chain of Python errors began (`raise ... from error`); `earlier` ends below its last error."""
    cause = ""
    while _TRACEBACK in earlier:
        start = len(earlier) - 1 - earlier[::-1].index(_TRACEBACK)
        if start < 2 or earlier[start - 1] != _DIRECT_CAUSE:
            break
        cause, earlier = earlier[start - 2], earlier[: start - 2]
    return cause


_END_OF_INPUT = re.compile(r"^(EOFError|bdb\.BdbQuit)\b")


def fix_for_early_exit(name: str, lines: Sequence[str], code: int) -> str:
    """What may help a process that exited by itself before it was ready; empty if nothing is known."""
    if any(_END_OF_INPUT.match(line.strip()) for line in lines[-20:]):
        return _(
            'its standard input is closed: set `stdin = "open"` in [process.{name}], or do not read from it', name=name
        )
    if code == 0:
        return _(
            'if it is to run only once, set `restart = "never"` in [process.{name}];'
            ' if it waits for standard input, which is closed, set `stdin = "open"`',
            name=name,
        )
    return ""
