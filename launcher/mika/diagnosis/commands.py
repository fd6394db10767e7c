"""Commands that hints name, as they can be pasted: those of Temporal's own program, and ours for one workflow."""

from __future__ import annotations

import re

from mika.quoting import quoted

_PLAIN_TYPE = re.compile(r"[\w.:-]+")
_DEFAULT_ADDRESSES = ("", "127.0.0.1:7233", "localhost:7233")


def for_workflow(command: str, workflow_id: str, options: str = "") -> str:
    """Our command for one workflow, in backticks: `mika workflows retry 'order 1'`."""
    return f"`mika {command} {quoted(workflow_id)}{' ' if options else ''}{options}`"


def for_running(command: str, kind: str) -> str:
    """Our command for all workflows of a type that run, in backticks."""
    query = f"WorkflowType='{kind}' AND ExecutionStatus='Running'"
    shown = f'"{query}"' if _PLAIN_TYPE.fullmatch(kind) else quoted(query)  # quotes in quotes are hard to read
    return f"`mika {command} --query {shown}`"


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


def create_endpoint(name: str, queue: str, namespace: str) -> str:
    """The arguments that make a Nexus endpoint."""
    target = f"--target-namespace {quoted(namespace)} --target-task-queue {quoted(queue)}"
    return f"operator nexus endpoint create --name {quoted(name)} {target}"


def set_current_version(deployment: str, build: str, namespace: str) -> str:
    """The arguments that let a version of a worker deployment get the new tasks."""
    version = f"--deployment-name {quoted(deployment)} --build-id {quoted(build)}"
    return f"worker deployment set-current-version {version} --namespace {quoted(namespace)}"


def to_current_version(workflow_id: str, namespace: str) -> str:
    """The arguments that let a pinned workflow go on with the current version."""
    workflow = f"--workflow-id {quoted(workflow_id)} --namespace {quoted(namespace)}"
    return f"workflow update-options {workflow} --versioning-override-behavior auto_upgrade"


def nexus_endpoint(name: str) -> str:
    """The arguments that show where a Nexus endpoint leads."""
    return f"operator nexus endpoint get --name {quoted(name)}"


def unpause_activity(workflow_id: str, activity_id: str, namespace: str) -> str:
    """The arguments that let a paused activity of a workflow go on."""
    ids = f"--workflow-id {quoted(workflow_id)} --activity-id {quoted(activity_id)}"
    return f"activity unpause {ids} --namespace {quoted(namespace)}"
