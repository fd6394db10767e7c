"""Workflows whose task fails: what the server tells, and the cause."""

from __future__ import annotations

from tests.kit.temporal_protos import (
    HARMLESS,
    NON_DETERMINISTIC,
    around,
    raised,
    task,
    worker,
)
from tests.unit.cases_pending import Case

FAILING: list[Case] = [
    # name, expected cause, description, history, surroundings, now, a word of finding + fix
    (
        "code that raises",
        "workflow_task_failing",
        task(1, attempt=2),
        raised("bug in workflow"),
        around(worker()),
        1,
        "ValueError: bug in workflow",
    ),
    (
        "code that changed",
        "workflow_task_failing",
        task(2, attempt=3),
        raised("[TMPRL1100] Nondeterminism error", NON_DETERMINISTIC),
        around(worker()),
        1,
        "or guard it with `patched`",
    ),
    (
        "a search attribute that is not there, SQL",
        "workflow_task_failing",
        task(1, attempt=2),
        raised("BadSearchAttributes: Namespace default has no mapping defined for search attribute CustomerId"),
        around(),
        4,
        "temporal operator search-attribute create --name CustomerId --type TYPE --namespace default",
    ),
    (
        "a search attribute that is not there, Elasticsearch",
        "workflow_task_failing",
        task(1, attempt=2),
        raised("BadSearchAttributes: search attribute CustomerId is not defined"),
        around(),
        4,
        'CustomerId = "TYPE"',
    ),
    (
        "a value that is not of the attribute's type",
        "workflow_task_failing",
        task(1, attempt=2),
        raised("BadSearchAttributes: invalid value for search attribute CustomerId of type Int: abc"),
        around(),
        4,
        "fix the workflow's code",
    ),
    (
        "a Nexus endpoint that is not there",
        "workflow_task_failing",
        task(1, attempt=2),
        raised('BadScheduleNexusOperationAttributes: endpoint "bank" not found'),
        around(worker()),
        1,
        "it calls the Nexus endpoint bank, which the server does not have; declare it in mika.toml (`bank = {",
    ),
    (
        "how a Nexus endpoint is made",
        "workflow_task_failing",
        task(1, attempt=2),
        raised('BadScheduleNexusOperationAttributes: endpoint "bank" not found'),
        around(worker()),
        1,
        "nexus endpoint create --name bank --target-namespace default --target-task-queue QUEUE`. QUEUE is the task",
    ),
    (
        "a result that is too large",
        "workflow_task_failing",
        task(1, attempt=2),
        raised("[TMPRL1103] Attempted to upload payloads with size that exceeded the error limit."),
        around(worker()),
        1,
        "one payload (an input or a result) may have 2 MB: store what is larger elsewhere (a file, a database",
    ),
    (
        "a type that nobody registered",
        "workflow_task_failing",
        task(1, attempt=2),
        raised("Workflow class NoType is not registered on this worker"),
        around(worker()),
        1,
        "register",
    ),
    *(
        (
            "a type that nobody registered, " + sdk,
            "workflow_task_failing",
            task(1, attempt=2),
            raised(said),
            around(worker()),
            1,
            "register that workflow",
        )
        for sdk, said in {
            "Go": "unable to find workflow type: Nope. Supported types: [YeetStandard]",
            "TypeScript": "Failed to initialize workflow 'Nope': no such function is exported by the workflow bundle",
            "Java": 'Unknown workflow type "Nope". Known types are [Greet]',
        }.items()
    ),
    (
        "an input of another type",
        "workflow_task_failing",
        task(1, attempt=2),
        raised("Failed decoding arguments"),
        around(worker()),
        1,
        "and start it with another input",
    ),
    (
        "code that the sandbox refuses",
        "workflow_task_failing",
        task(1, attempt=2),
        raised("Cannot access open from inside a workflow. ... is restricted"),
        around(worker()),
        1,
        "into an activity",
    ),
    (
        "a clock that the sandbox refuses",
        "workflow_task_failing",
        task(1, attempt=2),
        raised(
            "RestrictedWorkflowAccessError: Cannot access datetime.datetime.now.__call__ from inside a workflow."
            " If this is code from a module not used in a workflow, mark the import as pass through."
        ),
        around(worker()),
        1,
        "use `workflow.now()`, ",
    ),
    (
        "a failure that is not the code's",
        "running",
        task(1, since=0.9, attempt=2),
        raised("UnhandledCommand", HARMLESS),
        around(worker()),
        1,
        "has been running",
    ),
]
