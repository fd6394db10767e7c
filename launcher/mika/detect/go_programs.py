"""How a worker in Go is started: the programs that make it, with which command, and which queue they give it."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Container, Iterable, Iterator, Sequence

from mika.detect.documented import Said
from mika.detect.files import upwards
from mika.detect.go_code import GoCode, Part, arguments, calls
from mika.detect.go_commands import Commands, Option, line
from mika.detect.languages import GO_ALIAS, Maker, Texts
from mika.detect.sources import Value
from mika.frozen import frozen
from mika.quoting import quoted
from mika.wording import Text, _, listed

_Choice = tuple[Sequence[str], Container[Part] | None]
"""The arguments, and the declarations that make a worker then; None for all."""
_DEEPEST = 4
_PLAIN = re.compile(r"[\w./:=@,+-]+")
_FLAGS_WITH_VALUE = {"-ldflags", "-tags", "-gcflags", "-mod", "-modfile", "-C", "-exec", "-p"}


@frozen
class Way:
    """A program that makes a worker for `queues`, and its command in the folder `home`."""

    path: str
    home: str
    command: str
    queues: tuple[Value, ...]
    label: str = ""
    """By what it is named, as if that were its path."""
    homes: tuple[str, ...] = ()
    """The folders of all modules that it is made of, if they are known."""


@frozen
class Starts:
    """`unclear` has a note for each program of which it is not known which command makes the worker."""

    ways: tuple[Way, ...] = ()
    unclear: tuple[Text, ...] = ()


class Programs:
    """Those of all modules of a project."""

    def __init__(self, texts: Texts, said: Sequence[Said]) -> None:
        self._texts, self._said, self._code = texts, said, GoCode(texts)
        self._commands: dict[str, Commands] = {}

    def starts(self, maker: Maker) -> Starts:
        """Its own package if that is a program, else each program that leads to it."""
        folder = posixpath.dirname(maker.path)
        programs = list(self._code.programs())
        own = [path for path in programs if posixpath.dirname(path) == folder]
        using = own or [p for p in programs if folder in self._code.closure(posixpath.dirname(p))]
        ways: list[Way] = []
        unclear: list[Text] = []
        for path in using:
            found = self._arguments(path, maker, is_own=bool(own))
            if isinstance(found, Text):
                unclear.append(found)
            else:
                ways += [self._way(path, maker, *one) for one in found]
        return Starts(tuple(ways), tuple(unclear))

    def _way(self, program: str, maker: Maker, words: Sequence[str], parts: Container[Part] | None) -> Way:
        home, command = self._command(program, words)
        word = re.sub(r"^-*(\w+=)?", "", words[0]) if words else ""
        label = posixpath.join(posixpath.dirname(program), f"{word}.go") if word else ""
        return Way(
            program,
            home,
            command,
            tuple(dict.fromkeys(self._queues(maker, program, parts))),
            label,
            tuple(self._code.homes(program)),
        )

    def _command(self, program: str, words: Sequence[str]) -> tuple[str, str]:
        home = self._code.home_of(program)
        relative = posixpath.relpath(posixpath.dirname(program) or ".", home or ".")
        package = "." if relative == "." else quoted(f"./{relative}")
        return home, line(f"go run {package}", words)

    # --- which command -----------------------------------------------------------------------------------------------

    def _arguments(self, program: str, maker: Maker, *, is_own: bool) -> list[_Choice] | Text:
        """With which arguments a program makes the worker; a note, if that is not known."""
        commands = self._of(program)
        told = self._told(program)
        begin = [(commands.without(part), part.path) for part in self._code.main_of(program)]
        reached = self._code.reached(program, begin, commands.without)
        always = [*begin, *((commands.without(part), part.path) for part in reached)]
        if any(self._makes(text, path, maker) for text, path in always):
            return [(_agreed(one for one in told if not one or one[0].startswith("-")) or (), None)]
        making = [(option, made) for option in commands.options if (made := self._made(program, option, maker))]
        known = [one for one in told if any(option.fits(one) for option, _made in making)]
        if len(making) > 1 and _are_apart([made for _option, made in making]):
            chosen = [([one for one in known if option.fits(one)], option, made) for option, made in making]
            if all(option.is_sure for option, _made in making):
                return [(_agreed(words) or option.args, made) for words, option, made in chosen]
        if (agreed := _agreed(known)) is not None:
            return [(agreed, None)]
        if len(making) == 1 and making[0][0].is_sure:
            return [(making[0][0].args, None)]
        if not making and (not is_own or not commands.are_several):
            return [((), None)] if is_own else []
        every = [one for one in told if any(option.fits(one) for option in commands.options)]
        if not making and (agreed := _agreed(every)) is not None:
            return [(agreed, None)]
        return self._unclear(program, [option for option, _made in making] or commands.options, maker)

    def _of(self, program: str) -> Commands:
        if program not in self._commands:
            self._commands[program] = Commands(self._texts, self._code, program)
        return self._commands[program]

    def _made(self, program: str, option: Option, maker: Maker) -> dict[Part, None]:
        """The declarations of the file, among those that a command leads to, which make a worker."""
        reached = self._code.reached(program, [(option.text, option.part.path)])
        own = {option.part: None} if self._makes(option.text, option.part.path, maker) else {}
        return own | {part: None for part in reached if self._makes(part.text, part.path, maker)}

    def _makes(self, text: str, path: str, maker: Maker) -> bool:
        return path == maker.path and self._new(path).search(text) is not None

    def _new(self, path: str) -> re.Pattern[str]:
        alias = GO_ALIAS.search(self._texts.text(path))
        return re.compile(rf"\b{alias[1] if alias else 'worker'}\.New\(")

    def _unclear(self, program: str, options: Iterable[Option], maker: Maker) -> Text:
        names = dict.fromkeys(" ".join(option.args) for option in options if option.args)
        return _(
            "{path} makes a worker, but it is not known which command of {program} starts it ({names}): add the right"
            " one to `{command}`",
            path=maker.path,
            program=program,
            names=listed(names),
            command=self._command(program, ())[1],
        )

    def _told(self, program: str) -> list[tuple[str, ...]]:
        """The arguments with which the texts of the project start a program."""
        found = (self._given(one, program) for one in self._said if one.words[:2] == ("go", "run"))
        return list(dict.fromkeys(words for words in found if words is not None))

    def _given(self, said: Said, program: str) -> tuple[str, ...] | None:
        """The arguments of a command that starts this program; None if it starts another one."""
        words = list(said.words[2:])
        while words and words[0].startswith("-"):
            del words[: 2 if words[0] in _FLAGS_WITH_VALUE else 1]
        if not words or not all(map(_PLAIN.fullmatch, words[1:])):
            return None
        package = words.pop(0).removesuffix("/...").removesuffix("/*").removesuffix("/*.go")
        while words and words[0].endswith(".go"):
            del words[0]
        package = posixpath.dirname(package) if package.endswith(".go") else package
        folder = posixpath.dirname(program)
        above = [*upwards(posixpath.dirname(said.where)), self._code.home_of(program)]
        places = above if package not in ("", ".") else [posixpath.dirname(said.where), self._code.home_of(program)]
        ends = next((n for n, word in enumerate(words) if not word.strip("-")), len(words))
        is_it = any(posixpath.normpath(posixpath.join(place, package)) == (folder or ".") for place in places)
        return tuple(words[:ends]) if is_it else None

    # --- which queue -------------------------------------------------------------------------------------------------

    def _queues(self, maker: Maker, program: str, only: Container[Part] | None) -> Iterator[Value]:
        """Those of the workers that the file makes, as this program has them made."""
        new, makers = self._new(maker.path), self._code.parts(posixpath.dirname(maker.path))
        reached = self._code.reached(program, [(part.text, part.path) for part in self._code.main_of(program)])
        parts = [*self._code.main_of(program), *reached]
        for part in makers:
            is_meant = part.path == maker.path and (only is None or part in only)
            for call in new.finditer(part.text) if is_meant else ():
                given = arguments(part.text, call.end() - 1)
                if len(given) > 2:
                    yield from self._worth(given[1], part, parts, 0)

    def _worth(self, expression: str, part: Part, parts: Sequence[Part], depth: int) -> Iterator[Value]:
        """What an expression of a declaration is worth: for a parameter, what the calls of the function give."""
        name = re.sub(r"^\w+\((\w+)\)$", r"\1", expression)
        if name not in part.parameters or depth > _DEEPEST:
            yield self._texts.value(expression, part.path, self._code.near(expression, part.path))
            return
        folder, found = posixpath.dirname(part.path), False
        for other in dict.fromkeys(parts):
            imports = self._code.imports(other.path)
            same = [""] if posixpath.dirname(other.path) == folder else []
            names = [*same, *(name for name, place in imports.items() if place == folder)]
            for given in calls(other, part.names[0], qualifiers=None if part.owner else names):
                at = part.parameters.index(name)
                if len(given) > at:
                    found = True
                    yield from self._worth(given[at], other, parts, depth + 1)
        if not found:
            yield Value()


def _are_apart(made: Iterable[Iterable[Part]]) -> bool:
    """Whether no two have one in common."""
    every = [part for one in made for part in one]
    return len(every) == len({*every})


def _agreed(told: Iterable[Sequence[str]]) -> Sequence[str] | None:
    """The arguments, if all that are documented have the same."""
    found = list(dict.fromkeys(map(tuple, told)))
    return found[0] if len(found) == 1 else None
