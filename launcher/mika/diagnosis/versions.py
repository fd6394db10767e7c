"""Versions of a worker deployment: a task goes only to a worker of the one that it is meant for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mika.diagnosis import proto
from mika.diagnosis.commands import set_current_version, temporal, to_current_version
from mika.diagnosis.model import Cause, Diagnosis, Poller, Surroundings, Version
from mika.wording import _

if TYPE_CHECKING:
    from temporalio.api.taskqueue.v1 import PollerInfo, TaskQueueVersioningInfo
    from temporalio.api.workflow.v1 import WorkflowExecutionInfo


def version_of(poller: PollerInfo) -> Version | None:
    """None for a worker without versioning."""
    options = poller.deployment_options
    if options.worker_versioning_mode != proto.VERSIONED:
        return None
    return Version(options.deployment_name, options.build_id)


def is_current(version: Version | None, routing: TaskQueueVersioningInfo) -> bool:
    """Whether it gets the tasks of a queue that are not pinned to a version, or some of them."""
    current, ramping = routing.current_deployment_version, routing.ramping_deployment_version
    if version is None:
        return not current.build_id
    return version in (Version(each.deployment_name, each.build_id) for each in (current, ramping))


def pinned_to(info: WorkflowExecutionInfo) -> Version | None:
    """The version that has to go on with the workflow, if it is to be a certain one."""
    versioning = info.versioning_info
    override = versioning.versioning_override
    if override.HasField("pinned"):
        return Version(override.pinned.version.deployment_name, override.pinned.version.build_id)
    if override.auto_upgrade or versioning.behavior != proto.PINNED:
        return None
    return Version(versioning.deployment_version.deployment_name, versioning.deployment_version.build_id)


def of_other_versions(info: WorkflowExecutionInfo, queue: str, surroundings: Surroundings) -> Sequence[Poller]:
    """The workers that poll the queue, if none of them gets the tasks of this workflow for its version."""
    alive, pinned = surroundings.alive(surroundings.namespace, queue), pinned_to(info)
    gets = any(poller.is_current if pinned is None else poller.version == pinned for poller in alive)
    return () if gets else alive


def of_another_version(
    finding: str, evidence: tuple[str, ...], worker: Poller, info: WorkflowExecutionInfo, surroundings: Surroundings
) -> Diagnosis:
    """`worker` polls, and does not get it. `finding`: that nobody has taken it."""
    pinned, version, queue = pinned_to(info), worker.version, info.task_queue
    if version is None:
        polls = _("{worker} polls without a version", worker=worker.who)
    else:
        polls = _(
            "{worker} polls as version {build} of the deployment {deployment}",
            worker=worker.who,
            build=version.build,
            deployment=version.deployment,
        )
    make_current = ""
    if version is not None and not worker.is_current:
        arguments = set_current_version(version.deployment, version.build, surroundings.namespace)
        make_current = temporal(arguments, surroundings.address)
    if pinned is not None:
        finding = _(
            "{finding}: it is pinned to version {build}, and {polls}", finding=finding, build=pinned.build, polls=polls
        )
        move = temporal(to_current_version(info.execution.workflow_id, surroundings.namespace), surroundings.address)
        fix: str = _(
            "start a worker of version {build}, or move it to the current version: {command}",
            build=pinned.build,
            command=move,
        )
        if make_current:
            fix = _(
                "{fix}; {command} makes that of {worker} the current one",
                fix=fix,
                command=make_current,
                worker=worker.who,
            )
    elif make_current:
        finding = _("{finding}: {polls}, and that is not the current version", finding=finding, polls=polls)
        fix = _("make it the current version: {command}", command=make_current)
    else:
        finding = _("{finding}: {polls}, and the task queue has a current version", finding=finding, polls=polls)
        fix = _("start a worker of the current version")
    return Diagnosis(Cause.NO_WORKER, finding, evidence, fix, queue)
