"""Whether a port is free, and which process listens on it."""

from __future__ import annotations

import contextlib
import errno
import itertools
import socket
import sys
from collections.abc import Collection, Mapping
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING

from mika.address import join
from mika.errors import UsageError
from mika.frozen import frozen
from mika.quoting import kill_command, quoted
from mika.wording import _, joined

if TYPE_CHECKING:
    from mika.config.load import Config

if sys.platform == "win32":
    from mika.machine import _windows as _system
else:
    from mika.machine import _posix as _system

_ANY = ("0.0.0.0", "::")
_PORTS_TRIED = 2000
"""Windows keeps whole ranges, of 100 ports each."""
_FIRST_PORT = 1024
"""The first that is not kept for the administrator."""


@frozen
class PortSetting:
    """The setting `name` decides a port of the stack. `place`: where it is to be changed."""

    name: str
    port: int
    place: str = ".env"
    own: Collection[int] = ()
    """All ports of the stack, which no fix proposes."""

    def another(self, host: str, but: Collection[int] = ()) -> int:
        """The next port that can be had, `but` for these. After 65535 comes 1024."""
        every = itertools.chain(range(max(self.port + 1, _FIRST_PORT), 65536), range(_FIRST_PORT, 65536))
        usable = (port for port in every if port not in self.own and port not in but)
        candidates = itertools.islice(usable, _PORTS_TRIED)
        return next((port for port in candidates if is_free(host, port)), self.port + 1)


def setting_of(config: Config, name: str) -> PortSetting:
    """The setting of that name."""
    place = _("the environment") if config.settings[name].origin == "environment" else ".env"
    return PortSetting(name, config.port(name), place, config.own_ports)


def check_free(host: str, *settings: PortSetting) -> None:
    """Raise UsageError if a port that one of the settings decides is in use at `host`. It names the program.

    The fix is for all that are in use: where the same project runs in another folder, these are several.
    """
    refusals = {setting: code for setting in settings if (code := _refusal(host, setting.port))}
    if not refusals:
        return
    first, code = next(iter(refusals.items()))
    listener = find_listener(host, first.port)
    change = how_to_change(host, *refusals)
    if code == errno.EACCES and listener is None:
        raise _not_allowed(first, change)
    raise UsageError(
        _(
            "port {port} ({setting}) is taken by {program}",
            port=first.port,
            setting=first.name,
            program=describe_listener(listener),
        ),
        _("{stop}, or {change}", stop=how_to_stop(listener), change=change),
        code="port_taken",
    )


def how_to_change(host: str, first: PortSetting, *more: PortSetting) -> str:
    """Which ports to choose, as a clause for a fix."""
    chosen: dict[str, int] = {}
    for setting in (first, *more):
        chosen[setting.name] = setting.another(host, chosen.values())
    written = joined(_(" and "), (f"{name}={port}" for name, port in chosen.items()))
    return _("choose another port in {place}: {settings}", place=first.place, settings=written)


def how_to_stop(owner: Listener | None) -> str:
    """A command where there is one, as a clause for a fix."""
    if owner is None or not owner.pid:
        return _("stop that program")
    if owner.stack:
        return f"`mika -C {quoted(owner.stack)} down`"
    return _("stop it (`{command}`)", command=kill_command(owner.pid))


def _not_allowed(setting: PortSetting, fix: str, platform: str = sys.platform) -> UsageError:
    """Nobody has the port, and still it cannot be had."""
    text = _(
        "port {port} ({setting}) may not be used by programs of this user", port=setting.port, setting=setting.name
    )
    if platform == "win32":
        text = _(
            "port {port} ({setting}) is kept by Windows, for Hyper-V, WSL or Docker",
            port=setting.port,
            setting=setting.name,
        )
        fix = _(
            "{fix}; `netsh interface ipv4 show excludedportrange protocol=tcp` shows which ones are kept",
            fix=fix,
        )
    return UsageError(text, fix, code="port_taken")


def describe_listener(listener: Listener | None) -> str:
    """The process for use in a sentence, with the folder of the stack that it belongs to."""
    if listener is None or not listener.pid:
        return _("another program")
    if listener.stack:
        return _("{program} of the stack in {folder}", program=listener, folder=listener.stack)
    return str(listener)


def find_other_stack(host: str, port: int, project: Path) -> Path | None:
    """The folder of the stack that listens on the port; None if that is `project` or not a stack."""
    listener = find_listener(host, port)
    if listener is None or listener.stack is None:
        return None
    return None if listener.stack.is_dir() and listener.stack.samefile(project) else listener.stack


def is_free(host: str, port: int) -> bool:
    """Whether this process can listen there. Raises UsageError if `host` is not an address of this machine."""
    return not _refusal(host, port)


def _refusal(host: str, port: int) -> int:
    """EADDRINUSE or EACCES, else 0. Windows says EACCES of a port that it keeps, or that a program has for itself."""
    family, kind, proto, _name, address = _resolve(host, port)
    with socket.socket(family, kind, proto) as probe:
        if sys.platform != "win32":  # on Windows SO_REUSEADDR allows to listen on a port that is in use
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
            probe.listen(1)
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return error.errno
            raise UsageError(
                _("cannot listen on {host}:{port}: {error}", host=host, port=port, error=error.strerror or error),
                _("use 127.0.0.1, or an address of this machine"),
            ) from None
    return 0


def _resolve(host: str, port: int) -> tuple[int, int, int, str, tuple[object, ...]]:
    try:
        family, kind, proto, name, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        text = _("{host!r} is not an address: {error}", host=host, error=error.strerror or error)
        raise UsageError(text, _("use 127.0.0.1")) from None
    return family, kind, proto, name, address


@frozen
class Listener:
    """A process that listens on a port. Most fields are empty if it belongs to another user."""

    port: int
    pid: int | None = None
    name: str = ""
    command: tuple[str, ...] = field(default=(), repr=False)
    cwd: Path | None = None
    stack: Path | None = None
    """The project folder, if the process belongs to a stack of mika."""

    def __str__(self) -> str:
        if not self.pid:
            return _("a program of another user")
        return _("{name} (pid {pid})", name=self.name, pid=self.pid)


def find_listener(host: str, port: int) -> Listener | None:
    """The process that listens on the port; None if there is none, or if `host` is another machine."""
    try:
        addresses = {str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    except OSError:
        return None
    is_any_address = addresses.intersection(_ANY)
    for ip, listening_port, pid in _listening_sockets():
        if listening_port == port and (is_any_address or ip in _ANY or ip in addresses):
            return _listener(port, pid)
    return None


# They listen for a container, whose processes are not below the command that started it.
_FORWARDERS = ("docker", "podman", "rootlessport", "slirp4netns", "conmon", "wslrelay", "vpnkit", "limactl")


def find_stranger(port: int, own_pids: Collection[int], run_id: str) -> Listener | None:
    """Who listens on this port of this machine, if that is known, and not a process of this run. Blocks briefly.

    `own_pids`: a process tree; what has left it still has `run_id` in its environment.
    """
    import psutil

    with contextlib.suppress(OSError):  # who listens at all costs a hundred times as much, and this is the usual case
        if any(listening_port == port for _ip, listening_port, _pid in _system.listening_of(own_pids)):
            return None
    pids = {pid for _ip, listening_port, pid in _listening_sockets() if listening_port == port}
    if not own_pids or not pids or None in pids or pids & set(own_pids):
        return None
    for pid in pids:
        try:
            process = psutil.Process(pid)
            if process.environ().get("MIKA_RUN_ID") == run_id or any(name in process.name() for name in _FORWARDERS):
                return None
        except (psutil.Error, OSError):
            return None
    return _listener(port, pids.pop())


def addresses_of(pids: Collection[int]) -> tuple[str, ...]:
    """Where these processes listen, `host:port`, by port; empty if the system does not tell. Blocks briefly."""
    try:
        sockets = {(port, ip) for ip, port, _pid in _system.listening_of(pids)}
    except OSError:
        return ()
    return tuple(join(ip, port) for port, ip in sorted(sockets))


def peers_of(pids: Collection[int]) -> set[tuple[str, int]]:
    """The addresses and ports to which these processes have a connection, or try to get one, but for each other.

    Empty if the system does not tell. Blocks briefly.
    """
    try:
        own = {port for _ip, port, _pid in _system.listening_of(pids)}
        return {peer for port, peer in _system.connections_of(pids) if not own & {port, peer[1]}}
    except OSError:
        return set()


def has_listener(port: int) -> bool:
    """Whether a process of this machine listens on the port."""
    return any(listening_port == port for _ip, listening_port, _pid in _listening_sockets())


def listeners() -> dict[int, Listener]:
    """All listening processes by port, preferably those on the loopback address. Blocks for some milliseconds."""
    by_port: dict[int, Listener] = {}
    for _ip, port, pid in _listening_sockets():
        if port not in by_port or by_port[port].pid is None:
            by_port[port] = _listener(port, pid)
    return by_port


def _listening_sockets() -> list[tuple[str, int, int | None]]:
    """Address, port and process id in a stable order, loopback addresses first; empty if the system does not tell."""
    loopback = ("127.0.0.1", "::1", *_ANY)
    try:
        entries = _system.listening()
    except OSError:
        return []
    return sorted(entries, key=lambda entry: (entry[0] not in loopback, entry[0], entry[2] or 0))


def _listener(port: int, pid: int | None) -> Listener:
    import psutil

    if not pid:
        return Listener(port)
    name, cwd, stack = "", None, None
    command: tuple[str, ...] = ()
    with contextlib.suppress(psutil.Error, OSError):
        process = psutil.Process(pid)
        name = process.name()
        command = tuple(process.cmdline())
        cwd = Path(process.cwd())
        stack = _stack_folder(process.environ(), cwd)
    return Listener(port, pid, name or "?", command, cwd, stack)


def _stack_folder(environ: Mapping[str, str], cwd: Path) -> Path | None:
    """The project folder of the stack that a process belongs to, from its environment."""
    if "MIKA_RUN_ID" not in environ:
        return None
    if beat := environ.get("MIKA_BEAT_FILE"):
        return Path(beat).parents[2]
    return next((folder for folder in (cwd, *cwd.parents) if (folder / ".mika").is_dir()), cwd)
