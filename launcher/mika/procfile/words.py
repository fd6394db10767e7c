"""Splits a command line into words, like a POSIX shell or a Windows program. Expands nothing and runs nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from mika.wording import _

REFERENCE = re.compile(
    r"\$(?:(?P<name>[A-Za-z_]\w*)|\{(?P<braced>[A-Za-z_]\w*)(?::-(?P<default>[^}$`\"'\\]*))?\})", re.ASCII
)
_PERCENT = re.compile(r"%([A-Za-z_][\w()]*)%", re.ASCII)
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=", re.ASCII)
_POSIX_OPERATOR = re.compile(r"&&|\|\||;;|<<|>>|>&|<&|<>|>\||[|&;<>()]")
_POSIX_PLAIN = re.compile(r"[^\s'\"\\$`|&;<>()*?\[~#]+")
_WINDOWS_PLAIN = re.compile(r"[^\s'\"\\$%&|<>^#]+")
# Only a shell knows these: $1, $@, $? and the like, $(…), and ${…} with more than a name in it.
_SHELL_DOLLAR = re.compile(r"\$[({0-9@*#?$!-]")


class Part(NamedTuple):
    """A piece of a word. `kind`: `text`, or for a variable `$` (an error if unset) or `%` (kept as it is if unset)."""

    text: str
    kind: str = "text"
    quoted: bool = False
    default: str | None = None


@dataclass
class Word:
    start: int
    parts: list[Part] = field(default_factory=list)

    @property
    def literal(self) -> str | None:
        """The text; None if it contains references."""
        return "".join(part.text for part in self.parts) if all(part.kind == "text" for part in self.parts) else None

    @property
    def is_assignment(self) -> bool:
        first = self.parts[0]
        return first.kind == "text" and not first.quoted and bool(_ASSIGNMENT.match(first.text))


def reference_part(match: re.Match[str], *, quoted: bool = False) -> Part:
    return Part(match["name"] or match["braced"], "$", quoted, match["default"])


class Operator(NamedTuple):
    text: str
    start: int


@dataclass
class Words:
    """`has_patterns`: there are globs, `~` or parameters, which only a shell expands.

    `is_opaque`: the items stop where only a shell can go on.
    """

    end: int  # where a comment begins
    items: list[Word | Operator] = field(default_factory=list)
    has_patterns: bool = False
    is_opaque: bool = False


class _Splitter:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.word: Word | None = None
        self.result = Words(len(text))

    def add(self, part: Part, start: int) -> None:
        if self.word is None:
            self.word = Word(start)
            self.result.items.append(self.word)
        self.word.parts.append(part)

    def take_reference(self, *, quoted: bool) -> bool:
        """Consume a `$NAME` at this position, if there is one."""
        match = REFERENCE.match(self.text, self.at)
        if match:
            self.add(reference_part(match, quoted=quoted), self.at)
            self.at = match.end()
        return match is not None

    def unclosed(self, quote: str, start: int) -> ValueError:
        return ValueError(
            _(
                "the quote {quote} at column {column} of the command is never closed; close it",
                quote=quote,
                column=start + 1,
            )
        )


class _PosixSplitter(_Splitter):
    def run(self) -> Words:
        text = self.text
        while self.at < len(text) and not self.result.is_opaque:
            start, char = self.at, text[self.at]
            if char.isspace():
                self.word = None
                self.at += 1
            elif char == "#" and self.word is None:
                self.result.end = start
                break
            elif char == "'":
                end = text.find("'", start + 1)
                if end < 0:
                    raise self.unclosed(char, start)
                self.add(Part(text[start + 1 : end], quoted=True), start)
                self.at = end + 1
            elif char == '"':
                self._double_quoted()
            elif char == "\\":
                self.add(Part(text[start + 1 : start + 2] or "\\", quoted=True), start)
                self.at += 2
            elif operator := _POSIX_OPERATOR.match(text, start):
                self._operator(operator[0])
            elif char in "$`":
                self._dollar(quoted=False)
            else:
                plain = _POSIX_PLAIN.match(text, start)
                piece = plain[0] if plain else char
                if char in "*?[" or (char == "~" and (self.word is None or text[start - 1] in "=:")):
                    self.result.has_patterns = True
                self.add(Part(piece), start)
                self.at += len(piece)
        return self.result

    def _operator(self, operator: str) -> None:
        # In `2>file`, the digit belongs to the operator.
        if operator[0] in "<>" and self.word is not None and (self.word.literal or "").isdigit():
            self.result.items.pop()
        self.result.items.append(Operator(operator, self.at))
        self.result.is_opaque = operator in {"<<", "(", ")", ";;"}
        self.word = None
        self.at += len(operator)

    def _dollar(self, *, quoted: bool) -> None:
        if self.text[self.at] == "`" or self.text.startswith("$(", self.at):
            self.add(Part("", quoted=quoted), self.at)
            self.result.is_opaque = True
        elif not self.take_reference(quoted=quoted):
            if _SHELL_DOLLAR.match(self.text, self.at):
                self.result.has_patterns = True
                self.result.is_opaque = self.text.startswith("${", self.at)
            self.add(Part("$", quoted=quoted), self.at)
            self.at += 1

    def _double_quoted(self) -> None:
        text, start = self.text, self.at
        self.add(Part("", quoted=True), start)
        self.at += 1
        while not self.result.is_opaque:
            if self.at >= len(text):
                raise self.unclosed('"', start)
            char = text[self.at]
            if char == '"':
                self.at += 1
                return
            if char in "$`":
                self._dollar(quoted=True)
            elif char == "\\" and text[self.at + 1 : self.at + 2] in {'"', "\\", "$", "`"}:
                self.add(Part(text[self.at + 1], quoted=True), start)
                self.at += 2
            else:
                self.add(Part(char, quoted=True), start)
                self.at += 1


class _WindowsSplitter(_Splitter):
    """The rules of CommandLineToArgvW, plus $NAME, single quotes around a whole word, and `#` comments.

    So the same Procfile works on both systems. https://learn.microsoft.com/en-us/cpp/c-language/parsing-c-command-line-arguments
    """

    def run(self) -> Words:
        text, quote = self.text, -1
        while self.at < len(text):
            start, char = self.at, text[self.at]
            quoted = quote >= 0
            if char.isspace() and not quoted:
                self.word = None
                self.at += 1
            elif char == "#" and self.word is None:
                self.result.end = start
                break
            elif char == "'" and self.word is None and (whole := re.compile(r"'([^']*)'(?=\s|$)").match(text, start)):
                self.add(Part(whole[1], quoted=True), start)
                self.at = whole.end()
            elif char == "\\" and (slashes := re.compile(r'(\\+)"').match(text, start)):
                # Before a quote, 2n backslashes give n backslashes, and 2n + 1 give n and make the quote literal.
                pairs, odd = divmod(len(slashes[1]), 2)
                self.add(Part("\\" * pairs + '"' * odd, quoted=True), start)
                self.at = slashes.end() - (0 if odd else 1)
            elif quoted and text.startswith('""', start):
                self.add(Part('"', quoted=True), start)
                self.at += 2
            elif char == '"':
                self.add(Part("", quoted=True), start)
                quote = -1 if quoted else start
                self.at += 1
            elif percent := _PERCENT.match(text, start):
                self.add(Part(percent[1], "%", quoted=True), start)
                self.at = percent.end()
            elif char in "&|<>^" and not quoted:
                self.result.items.append(Operator(char, start))
                self.word = None
                self.at += 1
            elif char == "$":
                self._dollar(quoted=quoted)
            else:
                plain = None if quoted else _WINDOWS_PLAIN.match(text, start)
                piece = plain[0] if plain else char
                self.add(Part(piece, quoted=quoted), start)
                self.at += len(piece)
        if quote >= 0:
            raise self.unclosed('"', quote)
        return self.result

    def _dollar(self, *, quoted: bool) -> None:
        if not self.take_reference(quoted=quoted):
            if self.text.startswith(("${", "$("), self.at):
                shown = self.text[self.at : self.at + 2]
                raise ValueError(
                    _(
                        "{beginning}… is shell syntax, which Windows does not have; use $NAME or ${{NAME:-default}}",
                        beginning=shown,
                    )
                )
            self.add(Part("$", quoted=quoted), self.at)
            self.at += 1


def split(text: str, *, windows: bool) -> Words:
    """Raises ValueError for a quote that is never closed, or shell syntax that Windows does not have."""
    return _WindowsSplitter(text).run() if windows else _PosixSplitter(text).run()
