"""`mika down`: stop the supervisor, leftovers of a killed run and containers, and delete the data if requested."""

from __future__ import annotations

import shutil
import time

from mika import backends
from mika.backends.base import ContainerCleanup
from mika.config.load import Config
from mika.control import unresponsive
from mika.control.client import Client
from mika.errors import MikaError, UsageError
from mika.frozen import frozen
from mika.project.folder import ProjectDir
from mika.supervisor.belongings import Found
from mika.supervisor.survivors import Survivor, identify, recall, still_alive
from mika.supervisor.sweep import sweep_folder
from mika.wording import _

_INTERVAL = 0.05  # s
_FORCED_SECONDS = 15.0
_KILLED_SECONDS = 5.0
_NOTHING_LEFT = ContainerCleanup()


@frozen
class TakenDown:
    """The result of `mika down`. `containers.running` were not started by mika, and are still running."""

    was_running: bool
    swept: tuple[Found, ...] = ()
    containers: ContainerCleanup = _NOTHING_LEFT
    deleted: tuple[str, ...] = ()
    survivors: tuple[Survivor, ...] = ()
    """Processes that could not be killed."""
    note: str = ""
    """What was skipped, and why."""

    def as_json(self) -> dict[str, object]:
        return {
            "version": 1,
            "was_running": self.was_running,
            "swept": [str(process) for process in self.swept],
            "stopped": self.containers.stopped,
            "left": [*self.containers.running, *(survivor.pid for survivor in self.survivors)],
            "deleted": self.deleted,
        }


def take_down(
    folder: ProjectDir, config: Config | UsageError, timeout: float, *, everything: bool, volumes: bool
) -> TakenDown:
    """Stop the stack, by force after `timeout` seconds.

    With `everything`, also stop containers that mika did not start. With `volumes`, also delete the data.

    `config` is an error if the configuration cannot be read. The stack is stopped anyway, and only the steps that need
    the configuration are skipped. Raises MikaError if the supervisor does not stop, and the UsageError if containers
    are left or data should be deleted. Raises another one, before anything is done, if the data is elsewhere.
    """
    if volumes:
        _require_own_data(folder)
    while True:
        was_running = _stop_supervisor(Client(folder), timeout)
        if not folder.run.is_dir():
            return _clean_up(folder, config, was_running=False, everything=everything, volumes=volumes)
        with folder.try_lock() as is_free:  # nobody may start what this takes away
            if is_free:
                return _clean_up(folder, config, was_running=was_running, everything=everything, volumes=volumes)
        if was_running:
            if volumes:
                text = _("the stack was stopped, but another `mika up` has started one since: its data was not deleted")
                raise MikaError(text, _("run `mika down --volumes` again"), code="busy")
            note = _("another `mika up` has started a stack since: that one is left running")
            return TakenDown(was_running, note=note)


def _stop_supervisor(client: Client, timeout: float) -> bool:
    """Ask the supervisor to stop, and wait for it. After `timeout` seconds, force it; if it does not answer, kill it.

    Returns False when no supervisor was running. Raises MikaError when even that does not end it.
    """
    deadline = time.monotonic() + timeout
    asked: tuple[Survivor, ...] = ()
    is_forced = is_killed = False
    while client.folder.is_locked():
        if asked and not still_alive(asked):
            return True  # another one has started since: nobody asked to stop that
        is_late = time.monotonic() >= deadline
        if is_late and is_killed:
            state = client.folder.read_state()
            fix = unresponsive.fix_for(state.pid if state is not None else None)
            raise MikaError(_("the supervisor did not stop"), fix, code="not_stopped")
        if is_late and is_forced:  # it does not even answer
            is_killed = True
            deadline = time.monotonic() + _KILLED_SECONDS
            if (state := client.folder.read_state()) is not None:
                unresponsive.kill(state.pid, state.started)
        elif is_late:
            is_forced = True
            if _request_down(client, force=True):
                deadline += _FORCED_SECONDS
        elif not asked:
            asked = _request_down(client)
        time.sleep(_INTERVAL)
    return bool(asked) or is_killed


def _request_down(client: Client, *, force: bool = False) -> tuple[Survivor, ...]:
    """The process of the supervisor that has received the request; none if it is starting, or already gone."""
    state = client.folder.read_state()
    asked = identify([state.pid]) if state is not None else ()
    try:
        client.down(force=force)
    except MikaError:
        return ()
    return asked


def _clean_up(
    folder: ProjectDir, config: Config | UsageError, *, was_running: bool, everything: bool, volumes: bool
) -> TakenDown:
    """What `take_down` does once no supervisor is running. The caller must hold the lock of a folder that has one."""
    swept = tuple(sweep_folder(folder))
    survivors = recall(folder)
    if isinstance(config, UsageError):
        if volumes or backends.has_left_containers(folder):
            raise config
        note = _("{problem}: containers, if any, were not checked", problem=config.message)
        return TakenDown(was_running, swept, survivors=survivors, note=note)
    containers, deleted = _NOTHING_LEFT, list[str]()
    leftovers = backends.leftovers(config, folder)
    if leftovers is not None:
        containers = leftovers.take_down(everything=everything or volumes)
    if volumes and folder.root.is_dir():
        if leftovers is not None:
            deleted = leftovers.delete_data()
        elif not folder.last_backend():  # nothing has run here yet, but there may be volumes of its compose file
            deleted = backends.make(config, folder)[0].delete_data()
        deleted += _delete_stored(folder)
        from mika.declared.record import forget

        forget(folder)
    return TakenDown(was_running, swept, containers, tuple(deleted), survivors)


def _require_own_data(folder: ProjectDir) -> None:
    """Raise UsageError if a link leads out of the project: what is there may be anybody's, and git keeps links."""
    place = folder.data.resolve()
    if place != folder.project.resolve() / ".mika" / "data":
        raise UsageError(
            _("{path} leads to {place}: nothing was stopped or deleted", path=folder.data, place=place),
            _("`mika down` stops the stack; then delete the data there yourself, and the link"),
        )


def _delete_stored(folder: ProjectDir) -> list[str]:
    stored = folder.stored()
    for path in stored:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    return [str(path.relative_to(folder.project)) for path in stored]


def named_data(folder: ProjectDir, config: Config) -> list[str]:
    """The names of the volumes that `volumes` would delete. Stacks in other folders may share them."""
    leftovers = backends.leftovers(config, folder)
    return leftovers.data_names() if leftovers is not None else []
