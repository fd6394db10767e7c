"""A command line cut into words, as the POSIX shell and as Windows programs cut it; nothing is expanded or run."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

REFERENCE = re.compile(
    r"\$(?:(?P<name>[A-Za-z_]\w*)|\{(?P<braced>[A-Za-z_]\w*)(?::-(?P<default>[^}$`\"'\\]*))?\})", re.ASCII
)
_PERCENT = re.compile(r"%([A-Za-z_][\w()]*)%", re.ASCII)
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=", re.ASCII)
_POSIX_OPERATOR = re.compile(r"&&|\|\||;;|<<|>>|>&|<&|<>|>\||[|&;<>()]")
_POSIX_PLAIN = re.compile(r"[^\s'\"\\$`|&;<>()*?\[~#]+")
_WINDOWS_PLAIN = re.compile(r"[^\s'\"\\$%&|<>^#]+")
# $1, $@, $? and the like, $(…), and ${…} that is more than a name: the shell's own.
_SHELL_DOLLAR = re.compile(r"\$[({0-9@*#?$!-]")


class Part(NamedTuple):
    """A piece of a word. `kind` is `text` or how an unset variable is taken: `$` is an error, `%` stays as it is."""

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
        """The text, when it has no references."""
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
    """`patterns`: globs, `~` or parameters that only a shell expands. `opaque`: from there on only a shell can tell."""

    end: int  # where a comment begins
    items: list[Word | Operator] = field(default_factory=list)
    patterns: bool = False
    opaque: bool = False


class _Cutter:
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

    def reference(self, *, quoted: bool) -> bool:
        """Take the `$NAME` that stands here, if one does."""
        match = REFERENCE.match(self.text, self.at)
        if match:
            self.add(reference_part(match, quoted=quoted), self.at)
            self.at = match.end()
        return match is not None

    def unclosed(self, quote: str, start: int) -> ValueError:
        return ValueError(f"the quote {quote} at column {start + 1} of the command is never closed; close it")


class _PosixCutter(_Cutter):
    def run(self) -> Words:
        text = self.text
        while self.at < len(text) and not self.result.opaque:
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
                taken = plain[0] if plain else char
                if char in "*?[" or (char == "~" and (self.word is None or text[start - 1] in "=:")):
                    self.result.patterns = True
                self.add(Part(taken), start)
                self.at += len(taken)
        return self.result

    def _operator(self, operator: str) -> None:
        # The digit of `2>file` belongs to the operator.
        if operator[0] in "<>" and self.word is not None and (self.word.literal or "").isdigit():
            self.result.items.pop()
        self.result.items.append(Operator(operator, self.at))
        self.result.opaque = operator in {"<<", "(", ")", ";;"}
        self.word = None
        self.at += len(operator)

    def _dollar(self, *, quoted: bool) -> None:
        if self.text[self.at] == "`" or self.text.startswith("$(", self.at):
            self.add(Part("", quoted=quoted), self.at)
            self.result.opaque = True
        elif not self.reference(quoted=quoted):
            if _SHELL_DOLLAR.match(self.text, self.at):
                self.result.patterns = True
                self.result.opaque = self.text.startswith("${", self.at)
            self.add(Part("$", quoted=quoted), self.at)
            self.at += 1

    def _double_quoted(self) -> None:
        text, start = self.text, self.at
        self.add(Part("", quoted=True), start)
        self.at += 1
        while not self.result.opaque:
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


class _WindowsCutter(_Cutter):
    """The rules of CommandLineToArgvW, and besides them: $NAME, single quotes around a whole word, and `#` comments.

    So one Procfile serves both systems. https://learn.microsoft.com/en-us/cpp/c-language/parsing-c-command-line-arguments
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
                # 2n backslashes and a quote: n of them and the quote; one more: n of them and a literal quote.
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
                taken = plain[0] if plain else char
                self.add(Part(taken, quoted=quoted), start)
                self.at += len(taken)
        if quote >= 0:
            raise self.unclosed('"', quote)
        return self.result

    def _dollar(self, *, quoted: bool) -> None:
        if not self.reference(quoted=quoted):
            if self.text.startswith(("${", "$("), self.at):
                shown = self.text[self.at : self.at + 2]
                raise ValueError(f"{shown}… is shell syntax, which Windows lacks; use $NAME or ${{NAME:-default}}")
            self.add(Part("$", quoted=quoted), self.at)
            self.at += 1


def cut(text: str, *, windows: bool) -> Words:
    """ValueError: a quote that is never closed, or shell syntax that Windows lacks."""
    return _WindowsCutter(text).run() if windows else _PosixCutter(text).run()
