"""One run of a stack: check everything, start services and processes, supervise them, and stop in reverse order."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import time
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from mika import events, tasks
from mika.address import origin
from mika.backends.base import temporal_probe
from mika.control.address import control_address
from mika.control.requests import ControlUnits, DebugUnits, Down, GetStatus, Request
from mika.control.server import Server
from mika.errors import MikaError, describe
from mika.events import Bus
from mika.project.event_log import EventLog
from mika.project.folder import RunState
from mika.stack.debugging import Debugging
from mika.stack.prepared import Prepared, UpOptions
from mika.stack.processes import check_ports
from mika.stack.waiting import failure_of, not_ready
from mika.status import StackStatus
from mika.supervisor import explanation, record
from mika.supervisor.supervisor import Supervisor, Verb
from mika.supervisor.survivors import describe_survivors, recall, remember
from mika.supervisor.sweep import sweep_folder
from mika.supervisor.unit import Unit
from mika.wording import Text, _, listed

if TYPE_CHECKING:
    from mika.declared.declaring import Declaring

_TEMPORAL = "temporal"
"""The service whose events say what was declared on it."""
_FOLDER_INTERVAL = 2.0  # s
_ADDRESS_INTERVAL = 2.0  # s


class Stack:
    """One run of the whole stack in this process. The caller must hold the project's lock."""

    def __init__(self, prepared: Prepared, options: UpOptions, bus: Bus) -> None:
        self._prepared, self._options, self._bus = prepared, options, bus
        self._config, self._folder = prepared.config, prepared.folder
        self._run_id, self._key, self._started_at = secrets.token_hex(8), secrets.token_hex(32), time.time()
        self._stop = asyncio.Event()
        self._own_lock = self._folder.lock_identity()
        self._supervisor: Supervisor | None = None
        self._server: Server | None = None
        self._failure: MikaError | None = None
        self._debugging = Debugging(self._folder, prepared.backend, options.debug, bus)
        self._declaring = self._make_declaring() if self._config.declared else None

    def _make_declaring(self) -> Declaring:
        from mika.declared.declaring import Declaring
        from mika.declared.record import Record

        return Declaring(
            self._config.declared,
            temporal_probe(self._config),
            Record(self._folder, self._prepared.backend.name),
            is_ours=self._prepared.backend.name != "external",
            say=lambda text: self._bus.publish(events.Notice(name=_TEMPORAL, level="warning", message=text)),
            refuse=self._refuse,
        )

    # --- for signal handlers and the control channel -----------------------------------------------------------------

    def request_stop(self, *, force: bool = False) -> None:
        """Stop gracefully, however often that is requested: two `mika down` are not impatient. `force` kills all."""
        if force and self._supervisor is not None:
            self._supervisor.kill_all()
        self._stop.set()

    @property
    def stopping(self) -> bool:
        return self._stop.is_set()

    # --- the run -----------------------------------------------------------------------------------------------------

    async def run(self) -> int:
        """Start the stack, supervise it until it stops, and return the exit code. Raises UsageError and MikaError."""
        units = self._prepared.units(self._options.processes)
        if self._declaring is not None:
            units = self._declaring.add_to(units)
        if self._options.watch:
            from mika.replay.keeping import as_watched

            units = [as_watched(unit) for unit in units]
        if self._prepared.backend.name != "none":
            from mika.readiness.login import preload

            asyncio.get_running_loop().run_in_executor(None, preload)
        event_log = EventLog(self._folder)
        self._bus.subscribe(event_log.write)
        try:
            await asyncio.to_thread(self._sweep)
            if not await self._preflight():
                return 0
            check_ports(self._config, units)
            supervisor = self._supervisor = Supervisor(units, self._run_id, self._bus)
            self._server = await self._serve()
            self._folder.add_mark(self._run_id)
            try:
                code = await self._supervise(supervisor)
            finally:
                await self._tear_down(supervisor, self._server)
        except MikaError as error:
            self._bus.publish(events.Notice(level="error", message=error.message))
            raise
        finally:
            event_log.close()
        if survivors := supervisor.survivors():
            reason = describe_survivors(survivors)
            raise MikaError(reason.text, reason.fix, code="not_stopped")
        return code

    async def _supervise(self, supervisor: Supervisor) -> int:
        """Start all units and run until a stop is requested, all processes have exited, or a background task fails."""
        notes = [managed.unit.note for managed in supervisor.managed.values() if managed.unit.note]
        for note in dict.fromkeys((*self._prepared.notes, *notes, *self._end_to_expect(supervisor))):
            self._publish_note(note)
        self._debugging.begin(supervisor)
        self._prepared.backend.on_revived(
            lambda name: self._start_revived(supervisor, name),
            lambda name: any(managed.unit.name == name for managed in supervisor.units_given_up()),
        )
        background = [
            self._in_background(_("watch of the folder"), self._stop_when_folder_is_gone()),
            self._in_background(_("watch of the control socket"), self._keep_address()),
            self._in_background(_("record of the processes"), record.keep(self._folder, supervisor.records)),
            self._in_background(_("reports of debuggers"), self._debugging.keep_telling(supervisor)),
        ]
        try:
            supervisor.start_all()
            if self._options.watch:
                from mika.stack.reloading import Reloading

                reloading = Reloading(self._prepared, self._options.processes, supervisor, self._bus)
                background.append(self._in_background(_("watch of the files"), reloading.run()))
            await self._until_ready(supervisor)
            asyncio.get_running_loop().run_in_executor(None, explanation.preload)
            # Only now: a failed attempt with another backend must not change what the next plain `mika up` chooses.
            if supervisor.state == "ready":
                self._folder.remember_backend(self._prepared.backend.name)
            code = await self._until_stopped(supervisor)
        finally:
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)
        if self._failure is not None:
            raise self._failure
        return code

    async def _tear_down(self, supervisor: Supervisor, server: Server) -> None:
        keep = self._options.keep_services
        if self._declaring is not None:
            await self._declaring.pause()
        await self._prepared.backend.interrupt()
        await supervisor.shutdown(keep_containers=keep)
        await self._prepared.backend.close(keep=keep)
        await (self._server or server).close()
        remember(self._folder, supervisor.survivors())
        self._folder.clear_state()
        self._folder.clear_marks()

    def _in_background(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a task whose failure stops the stack: without the task, problems of the stack would not be noticed."""

        async def run() -> None:
            try:
                await work
            except Exception as error:  # noqa: BLE001
                text = _(
                    "the {task} failed: {type}: {error}", task=name, type=type(error).__name__, error=describe(error)
                )
                self._failure = MikaError(text, _("this is a bug in mika: please report it"), code="internal")
                self.request_stop()

        return asyncio.create_task(run(), name=name)

    def _refuse(self, error: MikaError) -> bool:
        """Temporal does not take what is declared. Later (a server that was replaced), only its status says so."""
        is_start = self._supervisor is not None and self._supervisor.state == "starting"
        if is_start:
            self._failure = error
            self.request_stop()
        return is_start

    async def _stop_when_folder_is_gone(self) -> None:
        """Stop if `.mika` is deleted (`git clean`) or its project renamed: no command there could stop this stack."""
        while not self._is_folder_gone():
            await tasks.sleep_until_tick(_FOLDER_INTERVAL)
        self._bus.publish(events.Notice(level="error", message=self._gone_text()))
        self.request_stop()

    def _is_folder_gone(self) -> bool:
        return self._folder.lock_identity() != self._own_lock

    def _gone_text(self) -> Text:
        return _("{folder} was deleted or renamed while the stack is running: stopping", folder=self._folder.root)

    async def _preflight(self) -> bool:
        """Wait for the backend's checks, which may take a minute. Returns False if a stop is requested meanwhile."""
        checks = asyncio.ensure_future(self._prepared.backend.preflight(self._publish_note))
        stop = asyncio.ensure_future(self._stop.wait())
        await asyncio.wait([checks, stop], return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if not self._stop.is_set():
            checks.result()
            return True
        checks.cancel()
        await asyncio.gather(checks, return_exceptions=True)
        return False

    def _publish_note(self, text: str) -> None:
        self._bus.publish(events.Notice(level="info", message=text))

    def _publish_completed(self, units: Iterable[Unit]) -> None:
        self._publish_note(_("{names} completed: stopping the rest", names=listed(unit.name for unit in units)))

    def _end_to_expect(self, supervisor: Supervisor) -> Iterator[Text]:
        """If no process is to keep running; else a server that is gone again with them would be a surprise."""
        units = [managed.unit for managed in supervisor.processes()]
        is_short = units and not any(unit.rules.restart == "always" or unit.ends for unit in units)
        if is_short and not self._options.watch:
            names = listed(unit.name for unit in units)
            yield _("no process here keeps running: the stack stops after {names}", names=names)

    async def _until_ready(self, supervisor: Supervisor) -> None:
        deadline = time.monotonic() + self._options.timeout
        while supervisor.state != "ready" and not self._stop.is_set() and supervisor.end_code() is None:
            failed = supervisor.units_failed()
            if not self._options.watch:  # with it, a change of its files starts again what has failed
                if supervisor.is_done() and not supervisor.units_given_up():
                    return
                if failed:
                    raise failure_of(failed[0].status(), _("fix it and run `mika up` again"))
                if hopeless := supervisor.units_hopeless():
                    raise failure_of(hopeless[0].status())
            remaining = deadline + self._prepared.backend.busy_seconds() - time.monotonic()
            if remaining <= 0 and not failed:
                units, seconds = supervisor.units_not_ready(), self._options.timeout
                error = await not_ready(self._config, self._folder, units, seconds)
                if supervisor.units_not_ready():
                    raise error
                continue  # ready since the diagnosis began: whoever waits has been told so
            await self._wait(supervisor, remaining if remaining > 0 else None)

    async def _until_stopped(self, supervisor: Supervisor) -> int:
        while not self._stop.is_set():
            if (code := supervisor.end_code()) is not None:
                return self._ended(supervisor, code)
            if supervisor.is_done() and not self._options.watch:
                if failed := supervisor.processes_failed():
                    raise failure_of(failed[0].status())
                self._publish_completed(managed.unit for managed in supervisor.processes())
                return 0
            await self._wait(supervisor, None)
        return 0

    def _ended(self, supervisor: Supervisor, code: int) -> int:
        """A process with `ends` has exited: say so, and return 0. Raises MikaError with its exit code if it failed."""
        ending = [managed for managed in supervisor.managed.values() if managed.unit.ends]
        if code == 0:
            self._publish_completed(managed.unit for managed in ending)
            return 0
        failed = next(managed for managed in ending if managed in supervisor.units_failed())
        error = failure_of(failed.status())
        error.exit_code = code
        raise error

    def _start_revived(self, supervisor: Supervisor, name: str) -> None:
        if not self.stopping and supervisor.state != "stopping":
            supervisor.control("start", [name])

    async def _wait(self, supervisor: Supervisor, timeout: float | None) -> None:
        """Wait until something changes, or a stop is requested."""
        waiters = [asyncio.ensure_future(supervisor.wait_for_change(timeout)), asyncio.ensure_future(self._stop.wait())]
        await asyncio.wait(waiters, return_when=asyncio.FIRST_COMPLETED)
        for waiter in waiters:
            waiter.cancel()
        await asyncio.gather(*waiters, return_exceptions=True)

    def _sweep(self) -> None:
        self._folder.clear_state()  # of a killed supervisor: its pid and address would be taken for those of this one
        for killed in sweep_folder(self._folder):
            text = _("stopped {process}, which was left behind by an earlier run", process=killed)
            self._bus.publish(events.Notice(level="warning", message=text))
        if survivors := recall(self._folder):
            reason = describe_survivors(survivors)
            text = _("processes of an earlier run are still running: {processes}", processes=reason.text)
            raise MikaError(text, reason.fix, code="not_stopped")

    # --- control -----------------------------------------------------------------------------------------------------

    async def _serve(self) -> Server:
        server = Server(control_address(self._config.project), self._key, self._handle)
        await server.start()
        try:
            self._folder.write_state(self._record(server.address))
        except OSError:
            await server.close()
            raise
        return server

    def _record(self, address: str) -> RunState:
        """The content of the state file, by which other commands find this supervisor."""
        return RunState(
            pid=os.getpid(),
            run_id=self._run_id,
            address=address,
            key=self._key,
            started=self._started_at,
            backend=self._prepared.backend.name,
            addresses=self._config.addresses(),
        )

    async def _keep_address(self) -> None:
        """Create the socket and the state file again if they disappear.

        A clean-up of `/tmp` may remove the socket, and so may a logout, which removes XDG_RUNTIME_DIR.
        """
        while True:
            await tasks.sleep_until_tick(_ADDRESS_INTERVAL)
            if self._server is None:
                continue
            if self._server.is_reachable():
                record = self._record(self._server.address)
                if self._folder.read_state() != record:  # deleted or damaged
                    with contextlib.suppress(OSError):
                        self._folder.write_state(record)
                continue
            await self._server.close()
            with contextlib.suppress(MikaError, OSError):  # try again later: the folder may come back
                self._server = await self._serve()
                text = _("the control socket was removed; the new one is {address}", address=self._server.address)
                self._bus.publish(events.Notice(level="warning", message=text))

    async def _handle(self, request: Request) -> dict[str, object]:
        supervisor = self._supervisor
        if supervisor is None:
            raise MikaError(_("the stack is not up yet"), _("try again in a moment"), code="starting")
        if self._is_folder_gone() and not isinstance(
            request, Down
        ):  # who asks is where the folder is now, and this stack is about to end
            raise MikaError(self._gone_text(), _("try again in a moment"), code="busy")
        match request:
            case GetStatus():
                return self.status().as_json()
            case Down():
                self.request_stop(force=request.force)
                return {}
            case ControlUnits():
                notes = await self._take_settings(supervisor, request.verb, request.names)
                return {"names": supervisor.control(request.verb, request.names), "notes": notes}
            case DebugUnits():
                notes = await self._take_settings(supervisor, "restart", request.names)
                return self._debugging.restart(supervisor, request.names, notes)

    async def _take_settings(self, supervisor: Supervisor, verb: Verb, names: Sequence[str]) -> list[str]:
        from mika.stack.settings_change import take

        return await take(self._prepared, self._options, supervisor, verb, names, self._bus)

    def urls(self) -> dict[str, str]:
        """Where the processes that answer by HTTP are, by name, and the Temporal UI."""
        assert self._supervisor is not None  # noqa: S101 - set before anything is ready
        units = [managed.unit for managed in self._supervisor.managed.values() if managed.unit.role == "process"]
        asked = {unit.type: origin(unit.address) for unit in units if unit.address.startswith(("http://", "https://"))}
        return asked | self._prepared.backend.urls()

    def status(self) -> StackStatus:
        assert self._supervisor is not None  # noqa: S101 - set before the control channel serves
        units = self._supervisor.units()
        processes = tuple(unit for unit in units if unit.role == "process")
        return StackStatus(
            state=self._supervisor.state,
            backend=self._prepared.backend.name,
            supervisor_pid=os.getpid(),
            uptime_s=round(self._supervisor.uptime, 1),
            busy_s=round(self._prepared.backend.busy_seconds(), 1),
            services=tuple(unit for unit in units if unit.role == "service"),
            processes=processes,
            urls=self.urls(),
            left_out=self._prepared.backend.left_out,
            concerns=self._prepared.backend.concerns,
        )
