"""The options of a command line in Go: the standard library's flags, pflag's (cobra's too), those of urfave/cli."""

from __future__ import annotations

import re

from mika.frozen import frozen

_NAME = re.compile(r"\*?([A-Za-z_][\w.]{0,60})")
_ASKED = re.compile(r'\w{1,20}\.String\(\s*"([\w-]{1,60})"\s*\)')
"""What urfave/cli is asked for."""
_DEFAULT = r"""((?:[^,()\n]|\([^()\n]{0,200}\)){1,200}),"""
_DECLARED = r"""\b(?:\w{1,20}|Flags\(\))\.StringP?\(\s*"([\w-]{1,60})"\s*,(?:\s*"\w?"\s*,)?\s*"""
_BOUND = r"""\.StringVarP?\(\s*&NAME\s*,\s*"([\w-]{1,60})"\s*,(?:\s*"\w?"\s*,)?\s*"""
_LITERAL = r"""StringFlag\{((?:[^{}]|\{[^{}]{0,500}\}){0,1000}?\bName:\s*"NAME"(?:[^{}]|\{[^{}]{0,500}\}){0,1000})\}"""
_VARIABLE = re.compile(r"""\b(?:EnvVars?|Sources)\s*:[^"\n]{0,60}"(\w+)""")
_VALUE = re.compile(r"""\bValue\s*:\s*([^,\n}]{1,200})""")


@frozen
class Flag:
    """Its name; the expression of its default; the variable of the environment that may give it, too."""

    name: str
    default: str
    variable: str = ""


def find(expression: str, text: str) -> Flag | None:
    """The option whose value an expression of a source is, if it is that of one."""
    if asked := _ASKED.fullmatch(expression):
        return _of_urfave(asked[1], text)
    name = _NAME.fullmatch(expression)
    if name is None:
        return None
    escaped = re.escape(name[1])
    given = rf"(?<![\w.]){escaped}\s{{0,9}}(?::=|=)\s{{0,9}}"
    if asked := re.search(rf"{given}({_ASKED.pattern})", text):
        return _of_urfave(asked[2], text)
    declared = re.search(given + _DECLARED + _DEFAULT, text) or re.search(
        _BOUND.replace("NAME", escaped) + _DEFAULT, text
    )
    return Flag(declared[1], declared[2].strip()) if declared else None


def _of_urfave(name: str, text: str) -> Flag | None:
    found = re.search(_LITERAL.replace("NAME", re.escape(name)), text)
    if found is None:
        return None
    variable, default = _VARIABLE.search(found[1]), _VALUE.search(found[1])
    return Flag(name, default[1].strip() if default else '""', variable[1] if variable else "")
