"""What a process has said at its end: its last lines, without what only surrounds the reason for an exit.

Node prints ten frames and the fields of an error below it, Java hundreds of frames, Go every goroutine; and a tool that
runs the program (npm, Maven, Gradle, `go run`) says at last that it has failed, which the exit code says, too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from mika.project import logs
from mika.text import plain

_LINES_READ = 400
"""So many that the error is among them: a stack trace of Spring has 200 lines, and a list of goroutines as many."""
_LONGEST = 4000
"""So many characters of a line are searched: what it is about comes early, and one may have 64 KiB."""


def last_lines(log_dir: Path, name: str, after: logs.Position | None) -> list[str]:
    """The last lines written after `after`, without terminal escapes, and without blank ones at the end."""
    recent = logs.read_tail(log_dir, name, _LINES_READ, after=after)
    lines = [_without_escapes(logs.decode(line.data)) for line in recent]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def telling(lines: Sequence[str]) -> list[str]:
    """The lines that may say why it ended, stripped; the last one that is not blank if it seems that none does."""
    rest = whole = [_without_escapes(line[:_LONGEST]) for line in lines]
    for step in _STEPS:
        rest = step(rest)
    found = [text for line in rest if (text := line.strip()) and not _SURROUNDINGS.match(line)]
    return found or [text for line in whole if (text := line.strip())][-1:]


def _without_escapes(line: str) -> str:
    """Also without one that was cut."""
    return plain(line).replace("\x1b", "").rstrip()


# --- what surrounds the reason, line by line -------------------------------------------------------------------------

_FRAME = re.compile(r"^\s+at \S|^\s*\.\.\. \d+ (more|common frames omitted|lines matching )")  # Node, Java, .NET
_SURROUNDING = (
    _FRAME.pattern,
    r"^Node\.js v\d|^Emitted 'error' event (on|at)|^\(Use `node --trace",
    r"^\s*\d+: 0x[0-9a-f]+ |^----- (Native|JavaScript) stack trace -----",  # V8, out of memory
    r"^\s+(Suppressed|Caused by): ",  # Java: what a resource said while it was closed
    r"^\[signal SIG|^exit status \d+$",  # Go, and `go run`
    r"^note: (run with `RUST_BACKTRACE|Some details are omitted)",
    # compilers: how many errors there are
    r"^\d+ errors?$|^Found \d+ errors?\b|^Errors +Files$|^error: compilation failed$|^\[ERROR\] COMPILATION ERROR :",
    r"^ERROR: +Application startup failed\. Exiting\.$",  # uvicorn
    # gunicorn, of a worker that has told its error
    r"^\[[^\]]{1,60}\] \[\d+\] \[(INFO|ERROR)\] (Worker (exiting|\(pid:)|Shutting down: Master|Reason: Worker failed)",
    # yarn, pnpm, nodemon, make, npm
    r"^error Command failed with exit code|^info Visit https://yarnpkg|^\s*ELIFECYCLE\b|^\[nodemon\] app crashed",
    r"^\w*make(\[\d+\])?: \*\*\* .*Error \d+$|^npm (warn|WARN|notice)\b",
    # Maven: the end of each failure
    r"^\[(ERROR|INFO|WARNING)\]\s*(-+|-> \[Help \d+\]|BUILD FAILURE|\d+ errors?)?$|^  mvn <args> ",
    r"^\[ERROR\] (To see the full stack trace|Re-run Maven|For more information about the errors|\[Help \d+\] http)",
    r"^\[ERROR\] After correcting the problems|^\[INFO\] (Total time|Finished at): ",
    # Maven: a compiler or a program has told its errors itself, unless it was killed (with an exit code of 137)
    r"^\[ERROR\] Failed to execute goal .*: (Process terminated with exit code: \d\d?\b|Compilation failure)",
    r"^\[ERROR\] Failed to execute goal .*: Process exited with an error: \d\d? ",
    r"^\[ERROR\] Command execution failed|^org\.apache\.commons\.exec\.ExecuteException: Process exited",
)
_SURROUNDINGS = re.compile("|".join(_SURROUNDING))

# --- what surrounds the reason, in several lines ---------------------------------------------------------------------

_NESTED_ERROR = re.compile(r"^\s*(\[cause\]: )?[\w.$]*(Error|Exception)( \[\w+\])?: ")


def _without_fields(lines: list[str]) -> list[str]:
    """Without the fields that Node prints below an error, `{` to `}`; the errors among them are kept: its causes."""
    kept, number = [], 0
    while number < len(lines):
        line = lines[number]
        end = _end_of_fields(lines, number) if line.endswith(" {") else None
        if end is None:
            kept.append(line)
            number += 1
        else:
            nested = [each for each in _without_fields(lines[number + 1 : end]) if _NESTED_ERROR.match(each)]
            kept += [line.removesuffix(" {"), *nested]
            number = end + 1
    return kept


def _end_of_fields(lines: list[str], start: int) -> int | None:
    """The line that closes what the line `start` opens, by its indentation; a frame has four more than its error."""
    indent = _indent(lines[start]) - (4 if _FRAME.match(lines[start]) else 0)
    for number in range(start + 1, len(lines)):
        line = lines[number]
        if line and _indent(line) <= indent:
            return number if line.lstrip().startswith("}") else None
    return None


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


_MARKER = re.compile(r"^\s*~*\^[\^~]*$|^\s+~+$")


def _without_source(lines: list[str]) -> list[str]:
    """Without a line of source code that a compiler or an interpreter points at, and the line that points."""
    marked = {number for number, line in enumerate(lines) if _MARKER.match(line)}
    return [line for number, line in enumerate(lines) if number not in marked and number + 1 not in marked]


_GROUP = re.compile(r"\+ Exception Group Traceback \(most recent call last\):$")
_IN_GROUP = re.compile(r"^\s*\| ?(.*)$")
_BETWEEN = re.compile(r"^\s*\+-")


def _without_frames_of_groups(lines: list[str]) -> list[str]:
    """With what Python draws a frame around, as errors that were raised together, as it would be without one."""
    kept, inside = [], False
    for line in lines:
        is_begin, framed = _GROUP.search(line) is not None, _IN_GROUP.match(line)
        inside = is_begin or (inside and bool(framed or _BETWEEN.match(line)))
        if not inside:
            kept.append(line)
        elif framed:
            kept.append(framed[1])
    return kept


_LIFESPAN = "hypercorn.utils.LifespanFailureError: "
_WHILE_HANDLING = "During handling of the above exception, another exception occurred:"


def _without_lifespan(lines: list[str]) -> list[str]:
    """Without the error that Hypercorn makes of one that it has told, such as that of an app which cannot start."""
    for end, line in enumerate(lines):
        if line.startswith(_LIFESPAN) and _WHILE_HANDLING in lines[:end]:
            begin = end - 1 - lines[:end][::-1].index(_WHILE_HANDLING)
            return [*lines[:begin], *_without_lifespan(lines[end + 1 :])]
    return lines


_GOROUTINE = re.compile(r"^goroutine \d+ .*\[.+\]:$")


def _without_goroutines(lines: list[str]) -> list[str]:
    kept, inside = [], False
    for line in lines:
        inside = bool(_GOROUTINE.match(line)) or (inside and bool(line) and not line.startswith("exit status"))
        if not inside:
            kept.append(line)
    return kept


_NPM = re.compile(r"^npm (?:error|ERR!)(?: (.*))?$")
_NPM_SCRIPT_FAILED = re.compile(r"Lifecycle script|ELIFECYCLE|command failed|Exit status \d", re.IGNORECASE)
_NPM_DETAIL = re.compile(r"^(code|errno|syscall|path|command|workspace|location) |^\s*$")


def _without_npm(lines: list[str]) -> list[str]:
    """Without the lines of npm if a script has failed, and else with the first one that says what is wrong."""
    said = [match[1] or "" for line in lines if (match := _NPM.match(line))]
    has_failed = any(_NPM_SCRIPT_FAILED.search(text) for text in said)
    message = next((text for text in said if not _NPM_DETAIL.match(text)), "") if not has_failed else ""
    others = [line for line in lines if not _NPM.match(line)]
    return [*others, f"npm error {message}"] if message else others


_GRADLE_FAILED = "FAILURE: Build failed with an exception."
_GRADLE_TASK_FAILED = re.compile(r"finished with non-zero exit value \d\d?$|see the compiler error output")


def _without_gradle(lines: list[str]) -> list[str]:
    """Without Gradle's report if it is about a program or a compiler that has told its errors itself."""
    if _GRADLE_FAILED not in lines:
        return lines
    start = lines.index(_GRADLE_FAILED)
    report = list(_up_to("* Try:", lines[start + 1 :]))
    if any(_GRADLE_TASK_FAILED.search(line) for line in report):
        return lines[:start]
    what = [line.lstrip("> ") for line in report if line.strip() and not line.startswith("* ")]
    return [*lines[:start], f"FAILURE: {' '.join(what)}"]


_MAVEN_DETAIL = re.compile(r"^\[ERROR\] {2,}")


def _with_maven_details(lines: list[str]) -> list[str]:
    """Without the level before lines that only continue an error, which would look like errors of their own."""
    return [_MAVEN_DETAIL.sub("  ", line) for line in lines]


_SPRING_FAILED = "APPLICATION FAILED TO START"


def _spring_in_one_line(lines: list[str]) -> list[str]:
    """With what Spring says about a failure that it understands in one line, and not in a frame of asterisks."""
    if _SPRING_FAILED not in lines:
        return lines
    start = lines.index(_SPRING_FAILED)
    report = list(_up_to("Action:", lines[start + 1 :]))
    description = " ".join(line.strip() for line in report if line.strip("* ") and line != "Description:")
    advice = lines[start + len(report) + 2 :]
    after = next((number for number, line in enumerate(advice, 1) if line), 0)
    return [*lines[:start], f"{_SPRING_FAILED}: {description}", *advice[after:]]


_INVALID = re.compile(r"\b\d+ validation errors? for [\w.]+$")
_WHY_INVALID = re.compile(r"\s+(\S.*?) \[type=\w+")


def _invalid_in_one_line(lines: list[str]) -> list[str]:
    """With the fields that pydantic refuses in one line, without their values, which may be secrets."""
    kept, number = [], 0
    while number < len(lines):
        line, number = lines[number], number + 1
        if _INVALID.search(line):
            fields: list[str] = []
            while number + 1 < len(lines) and (why := _WHY_INVALID.match(lines[number + 1])):
                fields.append(f"{lines[number].strip()}: {why[1]}")
                number += 3 if "errors.pydantic.dev" in "".join(lines[number + 2 : number + 3]) else 2
            line = f"{line}: {'; '.join(fields)}" if fields else line
        kept.append(line)
    return kept


def _up_to(end: str, lines: Sequence[str]) -> Iterator[str]:
    for line in lines:
        if line == end:
            return
        yield line


_STEPS: tuple[Callable[[list[str]], list[str]], ...] = (
    _without_gradle,
    _without_npm,
    _with_maven_details,
    _without_goroutines,
    _without_fields,
    _without_source,
    _without_frames_of_groups,
    _without_lifespan,
    _spring_in_one_line,
    _invalid_in_one_line,
)
