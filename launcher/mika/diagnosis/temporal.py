"""The questions to a Temporal server, and the few things that are done to a workflow.

Only this module has requests, and `skipping`, which newer servers and SDKs know.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar

from mika.diagnosis.proto import RUNNING, TaskType
from mika.diagnosis.rehearsal import upsert_and_complete

if TYPE_CHECKING:
    from temporalio.api.common.v1 import Payload, WorkflowExecution
    from temporalio.api.history.v1 import HistoryEvent, WorkflowExecutionStartedEventAttributes
    from temporalio.api.sdk.v1 import UserMetadata
    from temporalio.api.workflow.v1 import WorkflowExecutionInfo
    from temporalio.api.workflowservice.v1 import (
        DescribeNamespaceResponse,
        DescribeTaskQueueResponse,
        DescribeWorkflowExecutionResponse,
        StartWorkflowExecutionRequest,
    )
    from temporalio.service import ServiceClient

T = TypeVar("T")

RPC_TIMEOUT = 2.0
"""Seconds that one call may take. A server that works answers within milliseconds."""
SYSTEM_INFO = "/temporal.api.workflowservice.v1.WorkflowService/GetSystemInfo"
"""The first call of every client, without which it does not connect. Takes an empty request."""
_POLL_LIMIT = timedelta(seconds=5)  # the server refuses a poll that would last less than 2 s
_PAGE, _NEWEST = 1000, 60
"""Events, or workflows, in one answer: the server gives no more."""
_WORKER_RUNNING = 1  # WorkerStatus
_IDENTITY = "mika"
_DIVISION = "TemporalNamespaceDivision"
"""The search attribute that the server's own workflows have: lists leave them out, unless a query asks for it."""
_REASON = "asked for with `mika workflows`"


class Temporal:
    """One namespace of a server, asked over the caller's connection.

    `client` is a ServiceClient, or the `service_client` of a Client. Every method makes one attempt of at most
    `rpc_timeout` seconds and raises what the SDK raises: RPCError, and RuntimeError while there is no connection.
    """

    def __init__(self, client: ServiceClient, namespace: str, rpc_timeout: float = RPC_TIMEOUT) -> None:
        self.namespace = namespace
        self._rpc_timeout = timedelta(seconds=rpc_timeout)
        self._client, self._service = client, client.workflow_service

    @property
    def client(self) -> ServiceClient:
        """The connection, for what is asked through the SDK itself."""
        return self._client

    def in_namespace(self, namespace: str) -> Temporal:
        """The same server, another namespace."""
        return Temporal(self._client, namespace, self._rpc_timeout.total_seconds())

    async def _call(self, method: Callable[..., Awaitable[T]], request: object) -> T:
        return await method(request, timeout=self._rpc_timeout, retry=False)

    # --- the server --------------------------------------------------------------------------------------------------

    async def is_serving(self) -> bool:
        """Whether the frontend says SERVING, which it does whatever its database does."""
        return await self._client.check_health(timeout=self._rpc_timeout, retry=False)

    async def server_version(self) -> str:
        from temporalio.api.workflowservice.v1 import GetSystemInfoRequest

        return (await self._call(self._service.get_system_info, GetSystemInfoRequest())).server_version

    # --- namespaces --------------------------------------------------------------------------------------------------

    async def describe_namespace(self) -> DescribeNamespaceResponse:
        """Raises RPCError NOT_FOUND when the namespace does not exist."""
        from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest

        request = DescribeNamespaceRequest(namespace=self.namespace)
        return await self._call(self._service.describe_namespace, request)

    async def register_namespace(self, retention: timedelta) -> None:
        """Create the namespace. Each service of the server learns of it by itself, up to a second later."""
        from google.protobuf.duration_pb2 import Duration
        from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest

        request = RegisterNamespaceRequest(
            namespace=self.namespace,
            workflow_execution_retention_period=Duration(seconds=int(retention.total_seconds())),
        )
        await self._call(self._service.register_namespace, request)

    async def set_retention(self, retention: timedelta) -> None:
        """How long the namespace keeps a workflow that has ended. Sends nothing if that is so already."""
        from google.protobuf.duration_pb2 import Duration
        from temporalio.api.namespace.v1 import NamespaceConfig
        from temporalio.api.workflowservice.v1 import UpdateNamespaceRequest

        wanted = Duration(seconds=int(retention.total_seconds()))
        if (await self.describe_namespace()).config.workflow_execution_retention_ttl.seconds == wanted.seconds:
            return
        config = NamespaceConfig(workflow_execution_retention_ttl=wanted)
        await self._call(
            self._service.update_namespace, UpdateNamespaceRequest(namespace=self.namespace, config=config)
        )

    async def namespaces(self, most: int = 10) -> list[str]:
        """The names of all namespaces of the server, without its own."""
        from temporalio.api.workflowservice.v1 import ListNamespacesRequest

        answer = await self._call(self._service.list_namespaces, ListNamespacesRequest(page_size=most))
        names = [described.namespace_info.name for described in answer.namespaces]
        return [name for name in names if name != "temporal-system"]

    # --- queues and their workers ------------------------------------------------------------------------------------

    async def queue_state(self, queue: str, task_type: TaskType) -> DescribeTaskQueueResponse:
        """The DescribeTaskQueueResponse: pollers, and how much waits for how long."""
        from temporalio.api.taskqueue.v1 import TaskQueue
        from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest

        request = DescribeTaskQueueRequest(
            namespace=self.namespace,
            task_queue=TaskQueue(name=queue),
            task_queue_type=task_type.value,  # type: ignore[arg-type]  # the stub wants the enum's own wrapper
            report_stats=True,
        )
        return await self._call(self._service.describe_task_queue, request)

    async def heartbeating_queues(self) -> set[str]:
        """Queues of workers that send heartbeats: a current SDK does so after a minute. Empty on old servers."""
        from temporalio.api.workflowservice.v1 import ListWorkersRequest
        from temporalio.service import RPCError

        request = ListWorkersRequest(namespace=self.namespace, page_size=100)
        try:
            answer = await self._call(self._service.list_workers, request)
        except RPCError:
            return set()
        heartbeats = [info.worker_heartbeat for info in answer.workers_info]
        return {heartbeat.task_queue for heartbeat in heartbeats if heartbeat.status == _WORKER_RUNNING}

    # --- workflows ---------------------------------------------------------------------------------------------------

    async def count_workflows(self, query: str = "") -> int:
        """Of the namespace. Cheap, and it needs the database."""
        from temporalio.api.workflowservice.v1 import CountWorkflowExecutionsRequest

        request = CountWorkflowExecutionsRequest(namespace=self.namespace, query=query)
        return (await self._call(self._service.count_workflow_executions, request)).count

    async def workflows(self, query: str = "", most: int = 100) -> Sequence[WorkflowExecutionInfo]:
        """The WorkflowExecutionInfo of those that match, the running ones first, then newest first."""
        from temporalio.api.workflowservice.v1 import ListWorkflowExecutionsRequest

        infos: list[WorkflowExecutionInfo] = []
        request = ListWorkflowExecutionsRequest(namespace=self.namespace, query=query)
        while True:
            request.page_size = min(_PAGE, most - len(infos))
            answer = await self._call(self._service.list_workflow_executions, request)
            infos += answer.executions
            request.next_page_token = answer.next_page_token
            if len(infos) >= most or not answer.next_page_token:
                return infos

    async def describe(self, workflow_id: str, run_id: str = "") -> DescribeWorkflowExecutionResponse:
        """The DescribeWorkflowExecutionResponse. Raises RPCError NOT_FOUND for an unknown id."""
        from temporalio.api.common.v1 import WorkflowExecution
        from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionRequest

        execution = WorkflowExecution(workflow_id=workflow_id, run_id=run_id)
        request = DescribeWorkflowExecutionRequest(namespace=self.namespace, execution=execution)
        return await self._call(self._service.describe_workflow_execution, request)

    async def first_events(self, execution: WorkflowExecution, most: int = _PAGE) -> list[HistoryEvent]:
        """The history from its beginning, at most one page."""
        return await anext(self._pages(execution, most))

    async def history(self, execution: WorkflowExecution) -> list[HistoryEvent]:
        """All of it."""
        return [event async for page in self._pages(execution) for event in page]

    async def _pages(self, execution: WorkflowExecution, most: int = _PAGE) -> AsyncGenerator[list[HistoryEvent]]:
        from temporalio.api.workflowservice.v1 import GetWorkflowExecutionHistoryRequest

        request = GetWorkflowExecutionHistoryRequest(
            namespace=self.namespace, execution=execution, maximum_page_size=most
        )
        while True:
            answer = await self._call(self._service.get_workflow_execution_history, request)
            yield list(answer.history.events)
            request.next_page_token = answer.next_page_token
            if not request.next_page_token:
                return

    async def newest_events(self, execution: WorkflowExecution, most: int = _NEWEST) -> list[HistoryEvent]:
        """The end of the history, in the order in which it happened."""
        from temporalio.api.workflowservice.v1 import GetWorkflowExecutionHistoryReverseRequest

        request = GetWorkflowExecutionHistoryReverseRequest(
            namespace=self.namespace, execution=execution, maximum_page_size=most
        )
        answer = await self._call(self._service.get_workflow_execution_history_reverse, request)
        return list(reversed(answer.history.events))

    async def rehearse_upsert(self, values: Mapping[str, Payload]) -> None:
        """Have a workflow set these search attributes: only that shows that each service of the server knows them.

        It needs no worker, lasts a moment, and no list shows it. Raises RPCError INVALID_ARGUMENT for an unknown one.
        """
        from temporalio.api.taskqueue.v1 import TaskQueue
        from temporalio.api.workflowservice.v1 import (
            PollWorkflowTaskQueueRequest,
            RespondWorkflowTaskCompletedRequest,
        )

        name = f"mika-rehearsal-{secrets.token_hex(8)}"
        await self._call(self._service.start_workflow_execution, self._rehearsal(name))
        poll = PollWorkflowTaskQueueRequest(
            namespace=self.namespace, task_queue=TaskQueue(name=name), identity=_IDENTITY
        )
        task = await self._service.poll_workflow_task_queue(poll, timeout=_POLL_LIMIT, retry=False)
        answer = RespondWorkflowTaskCompletedRequest(
            namespace=self.namespace,
            task_token=task.task_token,
            identity=_IDENTITY,
            commands=upsert_and_complete(values),
        )
        await self._call(self._service.respond_workflow_task_completed, answer)

    def _rehearsal(self, name: str) -> StartWorkflowExecutionRequest:
        """Of a workflow that the server hides, on a queue of its own."""
        from google.protobuf.duration_pb2 import Duration
        from temporalio.api.common.v1 import Payload, SearchAttributes, WorkflowType
        from temporalio.api.taskqueue.v1 import TaskQueue
        from temporalio.api.workflowservice.v1 import StartWorkflowExecutionRequest

        hidden = Payload(metadata={"encoding": b"json/plain", "type": b"Keyword"}, data=b'"mika"')
        return StartWorkflowExecutionRequest(
            namespace=self.namespace,
            workflow_id=name,
            workflow_type=WorkflowType(name="mika-rehearsal"),
            task_queue=TaskQueue(name=name),
            # Without an answer (the attributes are not known yet), it ends by itself.
            workflow_execution_timeout=Duration(seconds=10),
            search_attributes=SearchAttributes(indexed_fields={_DIVISION: hidden}),
            identity=_IDENTITY,
            request_id=name,
        )

    async def request_cancel(self, execution: WorkflowExecution) -> None:
        """Ask a workflow to cancel itself; a worker has to do that."""
        from temporalio.api.workflowservice.v1 import RequestCancelWorkflowExecutionRequest

        request = RequestCancelWorkflowExecutionRequest(
            namespace=self.namespace,
            workflow_execution=execution,
            reason=_REASON,
            identity=_IDENTITY,
            request_id=secrets.token_hex(8),
        )
        await self._call(self._service.request_cancel_workflow_execution, request)

    async def terminate(self, execution: WorkflowExecution) -> None:
        """End a workflow at once, without asking its code."""
        from temporalio.api.workflowservice.v1 import TerminateWorkflowExecutionRequest

        request = TerminateWorkflowExecutionRequest(
            namespace=self.namespace, workflow_execution=execution, reason=_REASON, identity=_IDENTITY
        )
        await self._call(self._service.terminate_workflow_execution, request)

    async def reset(self, execution: WorkflowExecution, event_id: int) -> str:
        """Begin a new run that has all that happened before `event_id`, the end of a workflow task; returns its run id.

        A run that is open is terminated. Signals and updates that came later are kept. The same request twice has one
        effect.
        """
        from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest

        request = ResetWorkflowExecutionRequest(
            namespace=self.namespace,
            workflow_execution=execution,
            reason=_REASON,
            workflow_task_finish_event_id=event_id,
            identity=_IDENTITY,
            request_id=f"mika-{execution.run_id}-{event_id}",
        )
        return (await self._call(self._service.reset_workflow_execution, request)).run_id

    async def start_again(
        self,
        started: WorkflowExecutionStartedEventAttributes,
        workflow_id: str,
        queue: str,
        *,
        run_timeout: float,
        execution_timeout: float,
    ) -> None:
        """Start what `started` (attributes of a WorkflowExecutionStarted event) describes, under another id.

        It has a cron schedule if that of the old one has ended with that run. Timeouts in seconds, 0 for none.
        Raises RPCError ALREADY_EXISTS for an id that was used before.
        """
        from google.protobuf.duration_pb2 import Duration
        from temporalio.api.enums.v1 import WorkflowIdReusePolicy
        from temporalio.api.taskqueue.v1 import TaskQueue
        from temporalio.api.workflowservice.v1 import StartWorkflowExecutionRequest

        def duration(seconds: float) -> Duration:
            value = Duration()
            value.FromMilliseconds(int(1000 * seconds))
            return value

        schedule, summary = await self._schedule_and_summary(started)
        request = StartWorkflowExecutionRequest(
            namespace=self.namespace,
            workflow_id=workflow_id,
            workflow_type=started.workflow_type,
            task_queue=TaskQueue(name=queue),
            input=started.input,
            header=started.header,
            memo=started.memo,
            search_attributes=started.search_attributes,
            workflow_run_timeout=duration(run_timeout),
            workflow_execution_timeout=duration(execution_timeout),
            workflow_task_timeout=started.workflow_task_timeout,
            retry_policy=started.retry_policy if started.HasField("retry_policy") else None,
            cron_schedule=schedule,
            priority=started.priority if started.HasField("priority") else None,
            user_metadata=summary,
            workflow_id_reuse_policy=WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
            identity=_IDENTITY,
            request_id=secrets.token_hex(8),
        )
        await self._call(self._service.start_workflow_execution, request)

    async def _schedule_and_summary(
        self, started: WorkflowExecutionStartedEventAttributes
    ) -> tuple[str, UserMetadata | None]:
        """What the attributes alone do not tell: whether its cron goes on without this run; what describes it."""
        if not started.workflow_id:  # an older server
            return "", None
        latest = (await self.describe(started.workflow_id)).workflow_execution_info
        event = (await self.first_events(latest.execution, 1))[0]
        newest = event.workflow_execution_started_event_attributes
        is_last = newest.original_execution_run_id == started.original_execution_run_id
        schedule = started.cron_schedule if is_last and latest.status != RUNNING else ""
        is_same = newest.first_execution_run_id == started.first_execution_run_id
        return schedule, event.user_metadata if is_same and event.HasField("user_metadata") else None


def literal(text: str) -> str:
    """`text` as a string in a query of `workflows`."""
    return "'" + text.replace("'", "''") + "'"


class CallError(StrEnum):
    """What kept a call from succeeding. Stable identifiers: `/readyz` shows them."""

    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    NOT_FOUND = "not_found"
    DENIED = "denied"
    FAILED = "failed"


_BY_STATUS = {  # RPCStatusCode, which is gRPC's
    1: CallError.TIMEOUT,  # CANCELLED: what the SDK says when its own timeout expires
    4: CallError.TIMEOUT,
    5: CallError.NOT_FOUND,
    7: CallError.DENIED,
    14: CallError.UNREACHABLE,
    16: CallError.DENIED,
}


def call_error(error: BaseException) -> CallError:
    """The kind of an error that a method of Temporal raised."""
    if isinstance(error, TimeoutError):
        return CallError.TIMEOUT
    status = getattr(error, "status", None)  # of an RPCError
    if status is None:
        return CallError.UNREACHABLE if isinstance(error, RuntimeError) else CallError.FAILED
    return _BY_STATUS.get(int(status), CallError.FAILED)
