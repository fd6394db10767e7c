"""A workflow that sets a search attribute which its namespace does not have."""

from __future__ import annotations

import re

from mika.diagnosis import commands
from mika.wording import _

# With an SQL database, and with Elasticsearch.
_UNDECLARED = re.compile(r"no mapping defined for search attribute (\S+)|search attribute (\S+) is not defined")


def undeclared_attribute(text: str) -> str:
    """The name of the attribute that is missing, according to an error of Temporal; empty if it says something else."""
    match = _UNDECLARED.search(text)
    return (match[1] or match[2]) if match is not None else ""


def how_to_declare(name: str, namespace: str, address: str) -> str:
    """Both ways. Nothing that the server stores says of which type the attribute is to be: only the code knows."""
    return _(
        'declare it in mika.toml (`{name} = "TYPE"` below `[temporal.search_attributes]`), then `mika down` and'
        " `mika up`; or {command}. TYPE is what the code gives it (in Python, `for_keyword` is Keyword): Keyword,"
        " Text, Int, Double, Bool, Datetime or KeywordList",
        name=name,
        command=commands.temporal(commands.create_attribute(name, "TYPE", namespace), address),
    )
