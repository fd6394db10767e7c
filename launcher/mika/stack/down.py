"""Taking a stack down from another process: its supervisor, what a killed run left, containers, and the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mika import backends
from mika.backends.base import ContainerCleanup
from mika.config.load import Config
from mika.control.client import Client
from mika.errors import UsageError
from mika.project.folder import ProjectDir
from mika.stack import waiting
from mika.supervisor.survivors import Survivor, recall
from mika.supervisor.sweep import Killed, sweep_if_idle

_NOTHING_LEFT = ContainerCleanup()


@dataclass(frozen=True, slots=True)
class TakenDown:
    """What `mika down` did. `containers.running` were started by somebody else, and are left."""

    was_running: bool
    swept: tuple[Killed, ...] = ()
    containers: ContainerCleanup = _NOTHING_LEFT
    deleted: tuple[str, ...] = ()
    survivors: tuple[Survivor, ...] = ()
    """Processes that could not be killed."""
    note: str = ""
    """What was not done, and why."""

    def as_json(self) -> dict[str, Any]:
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
    """Stop the stack; force it after `timeout` seconds. `everything`: containers of others, too; `volumes`: the data.

    `config` is an error where the configuration cannot be read: that must not keep a stack running, so only what needs
    it is not done. Raises MikaError when the supervisor does not stop, and that UsageError where data is to be deleted
    or containers are left.
    """
    was_running = waiting.until_down(Client(folder), timeout)
    swept = tuple(sweep_if_idle(folder))
    survivors = recall(folder)
    if isinstance(config, UsageError):
        if volumes or backends.has_left_containers(folder):
            raise config
        return TakenDown(
            was_running, swept, survivors=survivors, note=f"{config.message}: containers, if any, were not looked at"
        )
    containers, deleted = _NOTHING_LEFT, list[str]()
    backend = backends.last_used(config, folder)
    if backend is not None:
        containers = backend.take_down(everything=everything or volumes)
    if volumes and folder.root.is_dir():
        deleted = (backend or backends.make(config, folder)[0]).delete_data()
    return TakenDown(was_running, swept, containers, tuple(deleted), survivors)


def named_data(folder: ProjectDir, config: Config) -> list[str]:
    """The volumes that `volumes` would delete; another folder may have the same."""
    backend = backends.last_used(config, folder)
    return backend.data_names() if backend is not None else []
