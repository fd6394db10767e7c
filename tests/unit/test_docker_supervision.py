"""What containers need of the supervisor: order of the stop, services that stay, one-shots, causes that are final."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mika.backends.docker.run import ContainerRun
from mika.events import Bus
from mika.project import logs
from mika.readiness.ladder import Certain, NotYet, Rung
from mika.reason import Reason
from mika.status import Phase
from mika.supervisor import policy
from mika.supervisor.guard import Exit
from mika.supervisor.policy import Rules
from mika.supervisor.supervisor import Supervisor
from mika.supervisor.unit import Launch, Unit
from mika.supervisor.watch import Liveness, watch


class FakeRun:
    """Something that runs elsewhere: ends when it is told to, or with `code` at once."""

    pid = 0

    def __init__(self, name: str, stopped: list[str], folder: Path, code: int | None) -> None:
        self.exit: Exit | None = None
        self.log_dir = folder
        self._name, self._stopped, self._code = name, stopped, code
        self._end = asyncio.Event()

    def request_stop(self) -> None:
        self._stopped.append(self._name)
        self._end.set()

    def kill(self, patience: float = 0.0) -> None:
        self.request_stop()

    async def wait(self) -> Exit:
        if self._code is None:
            await self._end.wait()
            await asyncio.sleep(0.02)  # a stop takes its time: who comes next must wait for it
            self._stopped.append(f"{self._name} gone")
            self.exit = Exit(0, Reason("stopped"))
        else:
            self.exit = Exit(self._code, Reason("ended"), final=self._code != 0)
        return self.exit


@pytest.fixture
def make(tmp_path):
    stopped: list[str] = []

    def unit(name: str, *needs: str, code: int | None = None, outlives_stack: bool = False, once: bool = False) -> Unit:
        return Unit(
            name=name,
            type=name,
            role="service",
            kind="container",
            run=lambda _: FakeRun(name, stopped, tmp_path, code),
            probes=_never if once else _at_once,
            needs=needs,
            rules=Rules(restart="on-failure" if once else "always"),
            outlives_stack=lambda: outlives_stack,
        )

    def supervisor(*units: Unit) -> Supervisor:
        return Supervisor(units, "run", Bus())

    return unit, supervisor, stopped


def _at_once(launch: Launch) -> tuple[list[Rung], Liveness | None]:
    del launch
    return [], None


def _never(launch: Launch) -> tuple[list[Rung], Liveness | None]:
    del launch

    async def not_yet() -> str:
        raise NotYet("runs")

    return [Rung("done", not_yet)], None


async def until(supervisor: Supervisor, state: str) -> None:
    async with asyncio.timeout(5):
        while supervisor.state != state:
            await supervisor.wait_for_change(0.1)


def test_services_stop_after_those_that_need_them(make):
    unit, supervisor, stopped = make

    async def main() -> None:
        stack = supervisor(unit("database"), unit("server", "database"), unit("ui", "server"))
        stack.start_all()
        await until(stack, "ready")
        await stack.shutdown()

    asyncio.run(main())
    assert stopped == ["ui", "ui gone", "server", "server gone", "database", "database gone"]


@pytest.mark.parametrize("keep", [False, True])
def test_a_foreign_container_is_left_running(make, keep):
    unit, supervisor, stopped = make

    async def main() -> None:
        stack = supervisor(unit("foreign", outlives_stack=True), unit("own"))
        stack.start_all()
        await until(stack, "ready")
        await stack.shutdown(keep_containers=keep)
        stack.kill_all()  # a second Ctrl-C does not reach them either

    asyncio.run(main())
    assert "foreign" not in stopped
    assert ("own" in stopped) is not keep


def test_a_one_shot_that_is_done_opens_the_gate_of_who_needs_it(make):
    unit, supervisor, _ = make

    async def main() -> str:
        stack = supervisor(unit("setup", code=0, once=True), unit("server", "setup"))
        stack.start_all()
        await until(stack, "ready")
        states = {unit.name: unit.state for unit in stack.units()}
        await stack.shutdown()
        return str(states)

    assert asyncio.run(main()) == "{'setup': 'exited', 'server': 'ready'}"


def test_a_one_shot_that_fails_ends_the_wait(make):
    unit, supervisor, _ = make

    async def main() -> list[str]:
        stack = supervisor(unit("setup", code=1, once=True), unit("server", "setup"))
        stack.start_all()
        async with asyncio.timeout(5):
            while not stack.units_given_up():
                await stack.wait_for_change(0.1)
        gave_up = [managed.state.reason.text for managed in stack.units_given_up()]
        await stack.shutdown()
        return gave_up

    assert asyncio.run(main()) == ["ended"]


@pytest.mark.parametrize("gate_open", [True, False])
def test_a_final_cause_gives_up_at_the_first_time(gate_open):
    state = policy.State(phase=Phase.STARTING, generation=1, should_run=True, gate_open=gate_open, alive=True)
    state, actions = policy.step(state, policy.ProcessExited(1, 1, Reason("why"), final=True), 0.0, Rules())
    assert (state.phase, state.reason.text, actions) == (Phase.GAVE_UP, "why", ())


def test_a_final_cause_does_not_outdo_a_stop():
    state = policy.State(phase=Phase.STOPPING, generation=1, should_run=False, gate_open=True, alive=True)
    state, _ = policy.step(state, policy.ProcessExited(1, 1, Reason("why"), final=True), 0.0, Rules())
    assert state.phase is Phase.STOPPED


@pytest.mark.parametrize(("error", "counts"), [(Certain("paused"), {1}), (NotYet("slow"), {3, 4})])
def test_what_is_certain_is_said_at_once(error, counts):
    """With a patience of 1 s, a doubt is said after half of it: three probes 0.2 s apart, or four by chance."""
    asked: list[float] = []

    async def probe() -> str:
        asked.append(0)
        raise error

    class Observer:
        def rung_reached(self, rung: str, elapsed: float, detail: str) -> None: ...
        def rung_waiting(self, rung: str, reason: Reason) -> None: ...

        hopeless = None

        def became_ready(self, detail: str) -> None: ...
        def hung(self, reason: Reason) -> None: ...

        def became_unready(self, reason: Reason) -> None:
            raise asyncio.CancelledError(reason.text)

    async def main() -> None:
        await watch([], Liveness(probe, 0.2, 1.0), Observer())

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())
    assert len(asked) in counts


def test_a_change_between_two_looks_is_not_lost(make):
    """Two processes that end within a millisecond: after the first one nobody waits yet for the second."""
    unit, supervisor, _ = make

    async def main() -> None:
        stack = supervisor(unit("server"))
        stack.start_all()
        await until(stack, "ready")
        stack.control("stop", ["server"])
        await stack.managed["server"].wait_until_gone()
        async with asyncio.timeout(5):
            await stack.wait_for_change()
        assert stack.managed["server"].state.phase == "stopped"
        await stack.shutdown()

    asyncio.run(main())


@pytest.mark.parametrize("code", [0, 1])
def test_the_lines_of_a_run_that_was_too_short_for_its_stream_are_in_the_log(tmp_path, code):
    """`mika logs NAME` is where the error message sends its reader."""
    said = b"one line\n"
    api = SimpleNamespace(logs=lambda container_id, tail: said)
    project: Any = SimpleNamespace(
        log_dir=tmp_path,
        log_max_bytes=100_000,
        monitor=SimpleNamespace(client=SimpleNamespace(api=api)),
        file=SimpleNamespace(with_role=lambda role: None),
    )
    service: Any = SimpleNamespace(name="setup")
    run = ContainerRun(project, service, Launch(1, "", "", None, tuple))
    run._start_key = ("container", "its start")
    run._explain_exit(Exit(code, Reason(f"exit code {code}"), final=True))
    assert [line.data for line in logs.read_tail(tmp_path, "setup", 10)] == [said.rstrip()]
