"""The commands of a program in Go, and what each of them runs: cobra, urfave/cli, `os.Args`, flags."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence

from mika.detect import go_flags
from mika.detect.go_code import GoCode, Part, arguments, calls, closing, fields, flat
from mika.detect.languages import Texts
from mika.frozen import frozen
from mika.quoting import command_line

_COBRA = re.compile(r"(?:\b(\w+)\s*:?=\s*)?&?\bcobra\.Command\{")
_ADDS = re.compile(r"\b(\w+)\.AddCommand\(")
_URFAVE = re.compile(r"&?\bcli\.(App|Command)\{|\[\]\*?cli\.Command\{")
_URFAVE_APP = re.compile(r"\bcli\.(?:App\{|NewApp\()")
_BELOW = ("Commands", "Subcommands")
_CALLED = re.compile(r"(?:(\w+)\.)?(\w+)(?:\(.*\))?", re.DOTALL)
_FIRST = re.compile(r"\bos\.Args\[1\]|\bflag\.Arg\(0\)|\bflag\.Args\(\)\[0\]|\bargs\[0\]")
_SWITCH = re.compile(r"\bswitch\s+([^{}\n]{1,100})\{")
_CASE = re.compile(r'(?:\bcase\s+((?:"[^"\n]{0,60}"|[\w.]+)(?:\s*,\s*(?:"[^"\n]{0,60}"|[\w.]+)){0,20})|\bdefault)\s*:')
_IF = re.compile(r"\bif\s+([^{}\n]{1,200})\{")
_ELSE = re.compile(r"\s*else\s*\{")
_KONG = re.compile(r'^[ \t]*(\w+)[ \t]+\*?(?:\w+\.)?(\w+)[ \t]+`([^`\n]*\bcmd:"[^`\n]*)`', re.MULTILINE)
_KONG_NAME = re.compile(r'\bname:"([\w-]+)"')
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_EQUALS = re.compile(r'([\w.*()\[\]]{1,60}|os\.Getenv\("\w{1,60}"\))\s*==\s*"([^"\n]{1,60})"')
_BOOLEAN = re.compile(r"(!?)\*?(\w+)\s*")
_BOOLEANS = r'(?:\bNAME\s*:?=\s*\w+\.Bool\(|\.BoolVar\(\s*&NAME\s*,)\s*"([\w-]{1,60})"'


_SETS = re.compile(r"[A-Za-z_]\w*=")
"""An argument that is none: `MODE=worker` stands before the command."""


@frozen
class Option:
    """What runs with the arguments `args`: `text`, in a part. `aliases` may stand in place of the last argument.

    `is_sure`: nothing else must stand before them.
    """

    args: tuple[str, ...]
    part: Part
    text: str
    aliases: tuple[str, ...] = ()
    is_sure: bool = True

    def fits(self, given: Sequence[str]) -> bool:
        """Whether this is what runs with the arguments that are `given`."""
        if not self.args:
            return not given or given[0].startswith("-")
        count = len(self.args)
        return tuple(given[: count - 1]) == self.args[:-1] and bool({*given[count - 1 : count]} & {*self.aliases})


class Commands:
    """Those of one program."""

    def __init__(self, texts: Texts, code: GoCode, program: str) -> None:
        self._texts, self._code, self._program = texts, code, program
        folders = code.closure(posixpath.dirname(program))
        self._parts = [part for folder in folders for part in code.parts(folder)]
        self._cut: dict[Part, list[tuple[int, int]]] = {}
        self.options: list[Option] = [*self._of_cobra(), *self._of_urfave(), *self._of_kong()]
        self.options += self._of_arguments()

    @property
    def are_several(self) -> bool:
        named = (option.args[0] for option in self.options if option.args)
        return sum(not word.startswith("-") and not _SETS.match(word) for word in named) > 1

    def without(self, part: Part) -> str:
        """The text of a declaration, but for what only a command runs."""
        text = part.text
        for begin, end in sorted(self._cut.get(part, ()), reverse=True):
            text = f"{text[:begin]} {text[end:]}"
        return text

    def _cuts(self, part: Part, begin: int, end: int) -> None:
        inside = [one for one in self._cut.get(part, []) if not (begin <= one[0] and one[1] <= end)]
        if not any(one[0] <= begin and end <= one[1] for one in inside):
            self._cut[part] = [*inside, (begin, end)]

    # --- cobra -------------------------------------------------------------------------------------------------------

    def _having(self, text: str) -> list[Part]:
        return [part for part in self._parts if text in part.text]

    def _of_cobra(self) -> Iterator[Option]:
        found: dict[tuple[Part, int], tuple[str, str]] = {}
        names: dict[tuple[Part, str], tuple[Part, int]] = {}
        for part in self._having("cobra.Command{"):
            behind = 0
            for match in _COBRA.finditer(part.text):
                if match.start() < behind or self._texts.files.is_late():
                    continue
                behind = end = closing(part.text, match.end() - 1)
                key = part, match.start()
                given = fields(part.text, match.end() - 1)
                found[key] = self._word(given.pop("Use", ""), part), "\n".join(given.values())
                self._cuts(part, match.start(), end)
                for name in (match[1], *(part.names if part.is_function else ())):
                    names.setdefault((part, name or ""), key)
        above = self._parents(names)
        roots = {above.get(key) for key in found} - {None} - above.keys()
        if len(found) == 1:
            roots = {*found}
        for key, (word, text) in found.items():
            words, at, count = [word], key, 0
            while at in above and count < len(found):
                at, count = above[at], count + 1
                words.insert(0, found[at][0])
            args = tuple(words[1:] if at in roots else words)
            is_sure = at in roots and all(args)
            yield Option(args, key[0], text, args[-1:], is_sure)

    def _parents(self, names: dict[tuple[Part, str], tuple[Part, int]]) -> dict[tuple[Part, int], tuple[Part, int]]:
        """The command that each one is added to."""
        above = {}
        for part in self._having(".AddCommand("):
            for match in () if self._texts.files.is_late() else _ADDS.finditer(part.text):
                parent = self._literal(match[1], part, names)
                for child in arguments(part.text, match.end() - 1):
                    own = self._literal(child, part, names)
                    if parent is not None and own is not None and own != parent:
                        above[own] = parent
        return above

    def _literal(
        self, expression: str, part: Part, names: dict[tuple[Part, str], tuple[Part, int]]
    ) -> tuple[Part, int] | None:
        """The literal of a command that a variable is, or a function returns."""
        called = _CALLED.fullmatch(expression)
        if called is None:
            return None
        if not called[1] and (part, called[2]) in names and not expression.endswith(")"):
            return names[part, called[2]]
        if not called[1] and (made := re.search(rf"\b{called[2]}\s*:?=\s*(?:(\w+)\.)?(\w+)\(", part.text)):
            called = made
        declared = self._code.named(called[1] or "", called[2], part.path)
        return next((names[one, called[2]] for one in declared if (one, called[2]) in names), None)

    def _word(self, expression: str, part: Part) -> str:
        text = self._texts.value(expression, part.path, self._code.near(expression, part.path)).text or ""
        return (text.split() or [""])[0]

    # --- urfave/cli --------------------------------------------------------------------------------------------------

    def _of_urfave(self) -> Iterator[Option]:
        outer: list[tuple[Part, re.Match[str]]] = []
        for part in self._having("cli.Command{") + self._having("cli.App{"):
            behind = 0
            for match in () if part in self._cut else _URFAVE.finditer(part.text):
                if match.start() >= behind:
                    behind = closing(part.text, match.end() - 1)
                    outer.append((part, match))
                    self._cuts(part, match.start(), behind)
        has_app = any(_URFAVE_APP.search(part.text) for part in self._having("cli."))
        below: dict[Part, tuple[str, ...]] = {}
        for part, match in outer:
            is_list = match[0].startswith("[")
            for one in arguments(part.text, match.end() - 1) if is_list else ():
                below.update(dict.fromkeys(self._made_by(one, part), ()))
            if not is_list:
                for prefix, one in self._nested(part, part.text[match.start() :], (), is_root=True):
                    below.update(dict.fromkeys(self._made_by(one, part), prefix))
        for part, match in outer:
            text = part.text[match.start() : closing(part.text, match.end() - 1)]
            if match[0].startswith("["):
                for one in arguments(text, text.index("{")):
                    yield from self._walked(part, one, (), is_root=False) if "{" in one else ()
            else:
                is_root = match[1] == "App" or (not has_app and part not in below)
                yield from self._walked(part, text, below.get(part, ()), is_root=is_root)

    def _made_by(self, expression: str, part: Part) -> list[Part]:
        called = _CALLED.fullmatch(expression)
        return self._code.named(called[1] or "", called[2], part.path) if called else []

    def _nested(
        self, part: Part, text: str, prefix: tuple[str, ...], *, is_root: bool
    ) -> Iterator[tuple[tuple[str, ...], str]]:
        """The commands below a literal that are written elsewhere, and what stands before their names."""
        given = fields(text, text.index("{"))
        own = prefix if is_root else (*prefix, self._word(given.get("Name", ""), part))
        for one in self._listed(given):
            if one.startswith(("{", "&cli.Command{", "cli.Command{")):
                yield from self._nested(part, one, own, is_root=False)
            else:
                yield own, one

    @staticmethod
    def _listed(given: dict[str, str]) -> Iterator[str]:
        for name in _BELOW:
            text = given.get(name, "")
            yield from arguments(text, text.index("{")) if "{" in text else ()

    def _walked(self, part: Part, text: str, prefix: tuple[str, ...], *, is_root: bool) -> Iterator[Option]:
        given = fields(text, text.index("{"))
        words = prefix if is_root else (*prefix, self._word(given.get("Name", ""), part))
        body = "\n".join(value for name, value in given.items() if name not in (*_BELOW, "Name", "Flags"))
        yield Option(words, part, body, words[-1:], all(words))
        for one in self._listed(given):
            if one.startswith(("{", "&cli.Command{", "cli.Command{")):
                yield from self._walked(part, one, words, is_root=False)

    # --- kong --------------------------------------------------------------------------------------------------------

    def _of_kong(self) -> Iterator[Option]:
        """The fields of a struct that are commands: each runs the method `Run` of its type."""
        fields_of = {part: _KONG.findall(part.text) for part in self._having('cmd:"')}
        below = {kind for found in fields_of.values() for _name, kind, _tags in found}
        for part, found in fields_of.items():
            is_sure = not part.names or part.names[0] not in below  # else another command stands before it
            for name, kind, tags in found:
                given = _KONG_NAME.search(tags)
                word = given[1] if given else _HUMP.sub("-", name).lower()
                for run in self._parts:
                    if (run.owner, run.names) == (kind, ("Run",)):
                        self._cuts(run, 0, len(run.text))
                        yield Option((word,), run, run.text, (word,), is_sure)

    # --- the arguments themselves ------------------------------------------------------------------------------------

    def _of_arguments(self) -> list[Option]:
        begin = [(self.without(part), part.path) for part in self._code.main_of(self._program)]
        main = (part for part in self._code.main_of(self._program) if part.is_function)
        reached = dict.fromkeys([*main, *self._code.reached(self._program, begin, self.without)])
        found: list[Option] = []
        for part in reached:
            found += [*self._of_switches(part, reached), *self._of_ifs(part, reached)]
        return found

    def _of_switches(self, part: Part, reached: Iterable[Part]) -> Iterator[Option]:
        for match in _SWITCH.finditer(part.text):
            prefix = self._prefix(match[1].strip(), part, reached)
            if prefix is None or self._texts.files.is_late():
                continue
            at = match.end() - 1
            block = flat(part.text, at)
            cases = list(_CASE.finditer(block))
            ends = [*(case.start() for case in cases[1:]), len(block) - 1]
            for case, end in zip(cases, ends, strict=True):
                if case[1]:
                    words = tuple(filter(None, (self._word(one.strip(), part) for one in case[1].split(","))))
                    text = part.text[at + case.end() : at + end]
                    self._cuts(part, at + case.end(), at + end)
                    yield _option(prefix, words, part, text)

    def _of_ifs(self, part: Part, reached: Iterable[Part]) -> Iterator[Option]:
        for match in _IF.finditer(part.text):
            end = closing(part.text, match.end() - 1)
            equals = _EQUALS.search(match[1])
            if equals is not None:
                prefix = self._prefix(equals[1], part, reached)
                if prefix is not None:
                    self._cuts(part, match.end(), end)
                    yield _option(prefix, (equals[2],), part, part.text[match.end() : end])
                continue
            boolean = _BOOLEAN.fullmatch(match[1])
            if boolean is None or not (flag := self._boolean(boolean[2], part)):
                continue
            begin = match.end()
            if boolean[1]:
                other = _ELSE.match(part.text, end)
                if other is None:
                    continue
                begin, end = other.end(), closing(part.text, other.end() - 1)
            self._cuts(part, begin, end)
            yield Option((flag,), part, part.text[begin:end], (flag,))

    def _boolean(self, name: str, part: Part) -> str:
        text = self._code.source(part.path)
        declared = re.search(_BOOLEANS.replace("NAME", re.escape(name)), text)
        return f"{'--' if 'spf13/' in text else '-'}{declared[1]}" if declared else ""

    def _prefix(self, subject: str, part: Part, reached: Iterable[Part]) -> str | None:
        """What stands before a word that is compared with `subject`: nothing, for the first argument; `-mode=`, for
        an option; `MODE=`, for a variable of the environment; None, if it is something else.
        """
        subject = subject.rpartition(";")[2].strip()
        text = part.text
        if _FIRST.search(subject):
            return ""
        if flag := go_flags.find(subject, self._code.source(part.path)):
            return None if flag.variable else f"-{flag.name}="
        name = re.fullmatch(r"(?:strings\.\w+\()?(\w+)\)?", subject)
        if name is None or name[1] not in part.parameters:
            worth = self._texts.value(name[1] if name else subject, part.path, ())
            if worth.variable:
                return f"{worth.variable}="
        if name is None:
            return None
        if re.search(rf"\b{name[1]}\b[^\n=]{{0,40}}=\s*[^\n]{{0,40}}?(?:{_FIRST.pattern})", text):
            return ""
        if name[1] in part.parameters:
            index = part.parameters.index(name[1])
            qualifiers = ("", posixpath.basename(posixpath.dirname(part.path)))
            for other in reached:
                for given in calls(other, part.names[0], qualifiers=qualifiers):
                    if len(given) > index and self._prefix(given[index], other, ()) == "":
                        return ""
        return None


def line(command: str, args: Sequence[str]) -> str:
    """A command with the arguments of an option; what sets a variable stands before it."""
    before = [word for word in args if _SETS.match(word)]
    behind = [word for word in args if word not in before]
    return " ".join(filter(None, [command_line(before), command, command_line(behind)]))


def _option(prefix: str, words: Sequence[str], part: Part, text: str) -> Option:
    best = next((word for word in words if "worker" in word.lower()), words[0] if words else "")
    return Option((f"{prefix}{best}",), part, text, tuple(f"{prefix}{word}" for word in words), bool(words))
