"""What Temporal says: is the server usable, and does a worker of ours poll?

Ready means usable (facts measured for this project): the port is open before the server serves, it serves before the
namespace is there, and `describe_namespace` answers up to 0.7 s before a workflow can be started, since every service
caches "not found" for a second. So the last rung asks the other services, twice.

This uses the SDK's ServiceClient, not its Client: that is half the import time, and the launcher needs no workflows.
"""

from __future__ import annotations

import asyncio
import re
import socket
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import TypeVar

from mika.address import join
from mika.diagnosis import proto
from mika.diagnosis.proto import TaskType
from mika.diagnosis.survey import taken_activities
from mika.diagnosis.temporal import CallError, Temporal, call_error
from mika.errors import describe
from mika.machine.local import process_state
from mika.readiness.access import cannot_connect, denied, missing_namespace, open_client, why_not
from mika.readiness.ladder import Hopeless, NotYet, Rung
from mika.readiness.login import Login, read
from mika.readiness.probes import http_ok, tcp
from mika.readiness.stuck import IsOwn, check_no_stuck_task
from mika.reason import Reason
from mika.wording import _, listed

T = TypeVar("T")

_CONNECT_SECONDS = 5.0
"""For a connection, and for the question why there is none: a cluster may be far away."""
_NAMESPACE_PATIENCE = 2.0
"""Seconds for which a server that has just started may do without its namespace."""


_NO_SUCH_HOST = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})
"""Instead of a name server that does not answer, as without a network."""
_NOT_CHOSEN = re.compile(r"\d+@|.+@[0-9a-f]{16}-\d+$")
"""Identities that no code chose: of each SDK, and of mika, for an earlier start that the server still lists."""
_OWN_IDENTITY = _(
    "if one of these is it: it has an identity of its own, and needs the one in its variable MIKA_WORKER_IDENTITY"
)


def is_identity_of(identity: str, pids: Callable[[], Collection[int]]) -> IsOwn:
    """Whether a worker is ours: it has the `identity` that we gave it, or `pid@host` for one of `pids()`.

    That is the SDKs' default; Go adds another `@` and the task queue, or nothing.
    """
    hosts = {socket.gethostname(), socket.getfqdn()}

    def is_own(other: str) -> bool:
        pid, _at, rest = other.partition("@")
        return other == identity or (pid.isdecimal() and rest.partition("@")[0] in hosts and int(pid) in pids())

    return is_own


class NotPolling(NotYet):
    """The server has answered: no worker of ours polls the task queue."""


def _has_exited(identity: str) -> bool:
    """Whether it is `pid@host` of a process of this machine that is gone, such as the one that was just replaced."""
    pid, _at, rest = identity.partition("@")
    is_here = pid.isdecimal() and rest.partition("@")[0] == socket.gethostname()  # the full name may need a slow lookup
    return is_here and process_state(int(pid)) == "gone"


def exited_before(identity: str) -> IsOwn:
    """Whether a worker has exited: by its pid, or as an earlier start of the process that has this `identity`."""
    process, _dash, number = identity.rpartition("-")

    def has_exited(other: str) -> bool:
        same, _dash, start = other.rpartition("-")
        return _has_exited(other) or (same == process and start.isdecimal() and int(start) < int(number))

    return has_exited


class TemporalProbe:
    """Asks one server and namespace. Connects when first asked and again after a failure; every call has a deadline."""

    def __init__(
        self, host: str, port: int, namespace: str, login: Mapping[str, str], *, setting: str = "TEMPORAL_ADDRESS"
    ) -> None:
        """`login`: the variables that say how to log in, as the SDKs read them. `setting` is that of the address."""
        self._setting = setting
        self.host, self.port, self.namespace = host, port, namespace
        self.address = join(host, port)
        self._variables, self._missing_since = login, 0.0
        self.namespace_rung = _("namespace {namespace}", namespace=namespace)
        self.detail = _("SERVING, namespace {namespace}", namespace=namespace)
        self._connection: Temporal | None = None

    def rungs(self, task_queue: str) -> list[Rung]:
        """The ladder from an open port to a server on which a workflow can be started now."""
        return [
            Rung(_("port open"), self._port_open),
            Rung(_("connected"), self.connect, _CONNECT_SECONDS),
            Rung(_("serving"), self.serving),
            Rung(self.namespace_rung, self.namespace_exists),
            Rung(_("usable"), lambda: self.usable(task_queue)),
        ]

    async def _port_open(self) -> str:
        try:
            return await tcp(self.host, self.port)
        except socket.gaierror as error:
            if "." in self.host:
                raise self._unknown_host(error) from error
            text = _(
                "the host name `{host}` cannot be resolved here: that of a compose service exists only inside compose",
                host=self.host,
            )
            fix = _(
                "let TEMPORAL_ADDRESS be where compose publishes it, such as {address}",
                address=join("localhost", self.port),
            )
            raise NotYet(Reason(text, fix)) from error
        except ConnectionError as error:  # says nothing of where
            raise NotYet(_("{address}: {error}", address=self.address, error=describe(error))) from error

    def _unknown_host(self, error: socket.gaierror) -> NotYet:
        if error.errno not in _NO_SUCH_HOST:
            text = _("the host name `{host}` cannot be resolved now ({error})", host=self.host, error=error.strerror)
            fix = _("is the network up? The name is from {setting}", setting=self._setting)
            return NotYet(Reason(text, fix))
        text = _("there is no host `{host}`: the name is from {setting}", host=self.host, setting=self._setting)
        return Hopeless(Reason(text, _("correct it there (`mika config` shows all settings)")))

    async def connect(self) -> str:
        await self._temporal()
        return self.address

    async def serving(self) -> str:
        temporal = await self._temporal()
        if not await self._asked(temporal.is_serving()):
            raise NotYet(_("the server answers NOT_SERVING"))
        return "SERVING"

    async def namespace_exists(self) -> str:
        """Raises Hopeless where it is missing for good."""
        temporal = await self._temporal()
        try:
            await self._asked(temporal.describe_namespace())
        except Exception as error:
            if call_error(error) != CallError.NOT_FOUND:
                raise
            self._missing_since = self._missing_since or time.monotonic()
            is_new = time.monotonic() - self._missing_since < _NAMESPACE_PATIENCE
            reason = await missing_namespace(temporal, self.address, await self._login())
            raise (NotYet if is_new else Hopeless)(reason) from error
        return self.namespace_rung

    async def usable(self, task_queue: str) -> str:
        """Visibility, the namespace registry and matching answer, twice in a row."""
        temporal = await self._temporal()
        for _time in range(2):
            await self._asked(temporal.count_workflows())
            await self._asked(temporal.queue_state(task_queue, TaskType.WORKFLOW))
        return self.detail

    async def alive(self) -> str:
        """One cheap call that needs the database: a server whose PostgreSQL is gone still says SERVING."""
        temporal = await self._temporal()
        try:
            await self._asked(temporal.count_workflows())
        except Exception as error:
            if call_error(error) == CallError.UNREACHABLE and (cause := await self._why_not()):
                raise cause from error
            raise
        return self.detail

    async def own_pollers(
        self, task_queue: str, is_own: IsOwn, namespace: str = "", *, has_exited: IsOwn = _has_exited
    ) -> dict[TaskType, set[str]]:
        """The identities of our workers that poll, by the type of tasks; without types for which none does.

        Its own identity counts: entries in the server's list outlive a killed worker by minutes. Raises NotPolling if
        none polls at all; its text leaves out identities that `has_exited`.
        """
        temporal = (await self._temporal()).in_namespace(namespace or self.namespace)
        everyone = {
            task_type: {poller.identity for poller in (await temporal.queue_state(task_queue, task_type)).pollers}
            for task_type in TaskType
        }
        own = {task_type: own for task_type, them in everyone.items() if (own := set(filter(is_own, them)))}
        if not own:
            others = sorted(other for other in set().union(*everyone.values()) if not has_exited(other))[:3]
            if others:
                text = _("it does not poll {queue} yet (others do: {others})", queue=task_queue, others=listed(others))
                raise NotPolling(Reason(text, "" if all(map(_NOT_CHOSEN.match, others)) else _OWN_IDENTITY))
            raise NotPolling(_("it does not poll {queue} yet", queue=task_queue))
        return own

    async def polls(self, task_queue: str, is_own: IsOwn, namespace: str = "") -> bool:
        """Whether a worker of ours polls this queue. Raises NotYet while there is no connection."""
        try:
            await self.own_pollers(task_queue, is_own, namespace)
        except NotPolling:
            return False
        return True

    async def last_poll(self, task_queue: str, is_own: IsOwn) -> float:
        """When our workers last asked for a task, by the server's clock, in seconds since the epoch; 0 if it forgot."""
        temporal = await self._temporal()
        answers = [await temporal.queue_state(task_queue, task_type) for task_type in TaskType]
        times = [proto.at(p.last_access_time) for answer in answers for p in answer.pollers if is_own(p.identity)]
        return max(times, default=0.0)

    async def runs_activities(self, is_own: IsOwn) -> bool:
        """Whether our worker has an activity in hand: one whose slots are all taken does not poll for more."""
        return any(map(is_own, await taken_activities(await self._temporal())))

    async def no_stuck_task(self, task_queue: str, is_own: IsOwn) -> None:
        """Raise StuckTask if our worker has let a workflow task time out and answers no other."""
        await check_no_stuck_task(await self._temporal(), task_queue, is_own)

    async def _asked(self, answer: Awaitable[T]) -> T:
        """The answer. Raises Hopeless if the server does not let us in."""
        try:
            return await answer
        except Exception as error:
            if call_error(error) == CallError.DENIED:
                raise Hopeless(denied(self.address, await self._login(), getattr(error, "status", 0))) from error
            raise

    async def temporal(self) -> Temporal:
        """The connection, for other questions. Raises NotYet while there is none."""
        return await self._temporal()

    async def _temporal(self) -> Temporal:
        """Raises NotYet while there is no connection, and Hopeless if waiting does not help."""
        if self._connection is None:
            try:
                client = await open_client(self.address, "mika", await self._login())
            except (RuntimeError, ValueError) as error:  # its Rust debug text is not worth showing if there is more
                raise await self._why_not() or NotYet(cannot_connect(self.address, describe(error))) from error
            self._connection = Temporal(client, self.namespace)
        return self._connection

    async def _login(self) -> Login:
        return await asyncio.to_thread(read, self._variables)

    async def _why_not(self) -> NotYet | None:
        return await why_not(self.host, self.port, self.address, await self._login())


def ui_rung(url: str) -> Rung:
    """`/` answers before the UI reaches the server; its API does not."""
    probe: Callable[[], Awaitable[str]] = lambda: http_ok(f"{url}/api/v1/cluster-info")  # noqa: E731
    return Rung(_("UI answers"), probe)
