"""Commands of Temporal's own program `temporal`, as they can be pasted."""

from __future__ import annotations

import shlex

_DEFAULT_ADDRESSES = ("", "127.0.0.1:7233", "localhost:7233")


def temporal(arguments: str, address: str) -> str:
    """The command with these arguments, for the server at `address`, in backticks."""
    place = "" if address in _DEFAULT_ADDRESSES else f" --address {shlex.quote(address)}"
    return f"`temporal {arguments}{place}`"


def create_namespace(name: str) -> str:
    """The arguments that make a namespace."""
    return f"operator namespace create -n {shlex.quote(name)}"


def create_attribute(name: str, type_: str, namespace: str) -> str:
    """The arguments that make a search attribute."""
    where = f"--namespace {shlex.quote(namespace)}"
    return f"operator search-attribute create --name {shlex.quote(name)} --type {type_} {where}"
