"""Commands that hints name, as they can be pasted: those of Temporal's own program, and ours for one workflow."""

from __future__ import annotations

from mika.quoting import quoted

_DEFAULT_ADDRESSES = ("", "127.0.0.1:7233", "localhost:7233")


def for_workflow(command: str, workflow_id: str, options: str = "") -> str:
    """Our command for one workflow, in backticks: `mika workflows retry 'order 1'`."""
    return f"`mika {command} {quoted(workflow_id)}{' ' if options else ''}{options}`"


def temporal(arguments: str, address: str) -> str:
    """The command with these arguments, for the server at `address`, in backticks."""
    place = "" if address in _DEFAULT_ADDRESSES else f" --address {quoted(address)}"
    return f"`temporal {arguments}{place}`"


def create_namespace(name: str) -> str:
    """The arguments that make a namespace."""
    return f"operator namespace create -n {quoted(name)}"


def create_attribute(name: str, type_: str, namespace: str) -> str:
    """The arguments that make a search attribute."""
    where = f"--namespace {quoted(namespace)}"
    return f"operator search-attribute create --name {quoted(name)} --type {type_} {where}"
