"""The kinds of things that can be declared: how each is found, made, changed, and removed by hand."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from datetime import timedelta
from typing import TYPE_CHECKING, Generic, TypeVar

from mika.config.declared import Namespace, NexusEndpoint, SearchAttribute, Thing
from mika.diagnosis import commands
from mika.diagnosis.proto import TaskType
from mika.diagnosis.temporal import RPC_TIMEOUT, CallError, Temporal, call_error
from mika.quoting import quoted
from mika.wording import _

if TYPE_CHECKING:
    from collections.abc import Sequence

    from temporalio.api.nexus.v1 import Endpoint, EndpointSpec

Item = TypeVar("Item", bound=Thing)

_LIMIT = timedelta(seconds=RPC_TIMEOUT)
_RETENTION = timedelta(days=3)
_QUEUE = "mika-declared"  # any name will do: the question is whether the namespace is known
_TYPES = {
    "Text": 1,
    "Keyword": 2,
    "Int": 3,
    "Double": 4,
    "Bool": 5,
    "Datetime": 6,
    "KeywordList": 7,
}  # IndexedValueType
_UNKNOWN = "of an unknown type"
_EXAMPLES: dict[str, object] = {
    "Text": "mika",
    "Keyword": "mika",
    "Int": 1,
    "Double": 0.5,
    "Bool": True,
    "Datetime": "2000-01-01T00:00:00Z",
    "KeywordList": ["mika"],
}


class Kind(ABC, Generic[Item]):
    """`noun` names one of them. The methods raise what the SDK raises: RPCError and RuntimeError."""

    noun: str
    can_change = True

    @abstractmethod
    def wanted(self, item: Item) -> str:
        """What is declared, as a text that can be compared with an earlier one, and with what `find` returns."""

    @abstractmethod
    async def find(self, temporal: Temporal, name: str) -> str | None:
        """What the server has under this name in the namespace of `temporal`; None: nothing."""

    @abstractmethod
    async def make(self, temporal: Temporal, item: Item) -> None: ...

    async def change(self, temporal: Temporal, item: Item) -> None:
        raise NotImplementedError

    async def prove(self, temporal: Temporal, items: Sequence[Item]) -> None:
        """Raise an error while one of the `items`, which this run has made in one namespace, cannot be used yet."""

    async def resume(self, temporal: Temporal, name: str) -> None:
        """Undo what `mika down` has done to it."""

    def is_same(self, content: str, other: str) -> bool:
        """Whether two results of `find` say the same."""
        return content == other

    def describe(self, content: str) -> str:
        """A result of `find` in words; empty if it has none."""
        del content
        return ""

    @abstractmethod
    def creation(self, item: Item) -> str:
        """The arguments of `temporal` that make it."""

    @abstractmethod
    def removal(self, namespace: str, name: str) -> str:
        """The arguments of `temporal` that delete it."""


class Namespaces(Kind[Namespace]):
    noun = "namespace"
    can_change = False

    def wanted(self, item: Namespace) -> str:
        return item.name

    async def find(self, temporal: Temporal, name: str) -> str | None:
        from temporalio.service import RPCError

        try:
            await temporal.describe_namespace()
        except RPCError as error:
            if call_error(error) == CallError.NOT_FOUND:
                return None
            raise
        return name

    async def make(self, temporal: Temporal, item: Namespace) -> None:
        from temporalio.service import RPCError, RPCStatusCode

        del item
        try:
            await temporal.register_namespace(_RETENTION)
        except RPCError as error:
            if error.status != RPCStatusCode.ALREADY_EXISTS:  # a container that sets the server up was faster
                raise

    async def prove(self, temporal: Temporal, items: Sequence[Namespace]) -> None:
        """Each service caches for a second that a namespace does not exist, so they are asked twice."""
        del items
        for _attempt in range(2):
            await temporal.count_workflows()
            await temporal.queue_state(_QUEUE, TaskType.WORKFLOW)

    def creation(self, item: Namespace) -> str:
        return commands.create_namespace(item.name)

    def removal(self, namespace: str, name: str) -> str:
        del namespace
        return f"operator namespace delete --namespace {quoted(name)}"


class SearchAttributes(Kind[SearchAttribute]):
    noun = "search attribute"
    can_change = False  # the server accepts another type without a word, and keeps the first

    def wanted(self, item: SearchAttribute) -> str:
        return item.type

    async def find(self, temporal: Temporal, name: str) -> str | None:
        from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest

        request = ListSearchAttributesRequest(namespace=temporal.namespace)
        service = temporal.client.operator_service
        answer = await service.list_search_attributes(request, timeout=_LIMIT, retry=False)
        types = {number: kind for kind, number in _TYPES.items()}
        number = answer.custom_attributes.get(name)
        return None if number is None else types.get(number, _UNKNOWN)

    async def make(self, temporal: Temporal, item: SearchAttribute) -> None:
        from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest

        request = AddSearchAttributesRequest(namespace=temporal.namespace)
        request.search_attributes[item.name] = _TYPES[item.type]  # type: ignore[assignment]  # the enum's own wrapper
        await temporal.client.operator_service.add_search_attributes(request, timeout=_LIMIT, retry=False)

    async def prove(self, temporal: Temporal, items: Sequence[SearchAttribute]) -> None:
        """Its services learn of it at different times, after seconds: so it is queried, and set by a workflow."""
        from temporalio.api.common.v1 import Payload

        for item in items:
            await temporal.count_workflows(f"`{item.name}` IS NULL")
        values = {
            item.name: Payload(
                metadata={"encoding": b"json/plain", "type": item.type.encode()},
                data=json.dumps(_EXAMPLES[item.type]).encode(),
            )
            for item in items
        }
        await temporal.rehearse_upsert(values)

    def describe(self, content: str) -> str:
        return _("is of an unknown type") if content == _UNKNOWN else _("is {type}", type=content)

    def creation(self, item: SearchAttribute) -> str:
        return commands.create_attribute(item.name, item.type, item.namespace)

    def removal(self, namespace: str, name: str) -> str:
        return f"operator search-attribute remove --name {quoted(name)} --namespace {quoted(namespace)}"


class NexusEndpoints(Kind[NexusEndpoint]):
    noun = "Nexus endpoint"

    def wanted(self, item: NexusEndpoint) -> str:
        return f"{item.namespace}/{item.task_queue}"

    async def find(self, temporal: Temporal, name: str) -> str | None:
        endpoint = await self._get(temporal, name)
        if endpoint is None:
            return None
        if not endpoint.spec.target.HasField("worker"):
            return endpoint.spec.target.external.url
        worker = endpoint.spec.target.worker
        return f"{worker.namespace}/{worker.task_queue}"

    async def make(self, temporal: Temporal, item: NexusEndpoint) -> None:
        from temporalio.api.operatorservice.v1 import CreateNexusEndpointRequest

        request = CreateNexusEndpointRequest(spec=_spec(item))
        await temporal.client.operator_service.create_nexus_endpoint(request, timeout=_LIMIT, retry=False)

    async def change(self, temporal: Temporal, item: NexusEndpoint) -> None:
        from temporalio.api.operatorservice.v1 import UpdateNexusEndpointRequest

        endpoint = await self._get(temporal, item.name)
        if endpoint is not None:
            request = UpdateNexusEndpointRequest(id=endpoint.id, version=endpoint.version, spec=_spec(item))
            await temporal.client.operator_service.update_nexus_endpoint(request, timeout=_LIMIT, retry=False)

    async def _get(self, temporal: Temporal, name: str) -> Endpoint | None:
        from temporalio.api.operatorservice.v1 import ListNexusEndpointsRequest

        request = ListNexusEndpointsRequest(name=name, page_size=1)
        service = temporal.client.operator_service
        answer = await service.list_nexus_endpoints(request, timeout=_LIMIT, retry=False)
        return next(iter(answer.endpoints), None)

    def describe(self, content: str) -> str:
        return _("leads to {target}", target=content)

    def creation(self, item: NexusEndpoint) -> str:
        target = f"--target-namespace {quoted(item.namespace)} --target-task-queue {quoted(item.task_queue)}"
        return f"operator nexus endpoint create --name {item.name} {target}"

    def removal(self, namespace: str, name: str) -> str:
        del namespace
        return f"operator nexus endpoint delete --name {name}"


def _spec(item: NexusEndpoint) -> EndpointSpec:
    from temporalio.api.nexus.v1 import EndpointSpec, EndpointTarget

    worker = EndpointTarget.Worker(namespace=item.namespace, task_queue=item.task_queue)
    return EndpointSpec(name=item.name, target=EndpointTarget(worker=worker))
