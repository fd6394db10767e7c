"""Which Temporal server the programs of a project connect to, and what they must be told for it to be mika's."""

from __future__ import annotations

import ast
import posixpath
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property

from mika.address import is_loopback
from mika.detect import addresses, siblings
from mika.detect.addresses import Target
from mika.detect.go_code import GoCode
from mika.detect.languages import Texts
from mika.detect.modules import Module
from mika.detect.sources import Sources, Value
from mika.frozen import frozen
from mika.wording import Text, _

_ADDRESS, _HOST, _PORT = "TEMPORAL_ADDRESS", "TEMPORAL_HOST", "TEMPORAL_PORT"
"""What mika tells each process itself: `127.0.0.1:7233`, and the halves of it."""
_BARE = re.compile(r"[a-z][\w-]*")
"""A host name of compose."""
_WHOLE = re.compile(r"[\w.-]+:\d+")
_REMOTE = re.compile(r"[\w-]+(\.[\w-]+)+:\d{1,5}")
_LOCAL = "localhost"


@frozen
class _Told:
    """What a program must be told in its environment, and why, if that is not what it does anyway."""

    variable: str
    value: str
    why: Text | None


class Servers:
    """`port`: that of mika's server, if the source has no other one. The names of `services` exist inside compose."""

    def __init__(
        self, sources: Sources, texts: Texts, variables: Mapping[str, str], port: int, services: Collection[str]
    ) -> None:
        self._sources, self._texts, self._variables, self._services = sources, texts, variables, services
        self._default_port = port
        self._notes: dict[Text, None] = {}
        self._is_told: set[Target] = set()

    @cached_property
    def _python(self) -> list[Target]:
        return list(addresses.of_python(self._sources))

    @cached_property
    def _others(self) -> list[Target]:
        return list(addresses.of_others(self._texts))

    @cached_property
    def _go(self) -> GoCode:
        return GoCode(self._texts)

    @property
    def _targets(self) -> list[Target]:
        return [*self._python, *self._others]

    @cached_property
    def fixed(self) -> Target | None:
        """What connects to another port of this machine, whatever it is told."""
        ports = (None, self._default_port)
        return next((one for one in self._targets if _is_fixed(one) and _fixed_port(one.value) not in ports), None)

    @property
    def _ours(self) -> str:
        """The server that mika has: perhaps one that the user has chosen."""
        port = self._default_port if self.fixed is None else _fixed_port(self.fixed.value)
        return f"{self._variables[_HOST] if self._is_remote else _LOCAL}:{port}"

    @property
    def _is_remote(self) -> bool:
        host = self._variables.get(_HOST, "")
        return "." in host and not is_loopback(host)

    @property
    def _written(self) -> str:
        """The same for mika.toml: it stays right when the user chooses another port."""
        return f"${{{_ADDRESS}}}" if self._is_remote else f"{_LOCAL}:${{TEMPORAL_PORT}}"

    def told(self, module: Module) -> dict[str, str]:
        """What a program in Python must be told."""
        parts = self._sources.reachable(module)
        paths = {part.path for part in parts}
        targets = [target for target in self._python if target.path in paths]
        return self._noted([*self._of_targets(targets), *self._of_defaults(parts), *self._of_comparisons(parts)])

    def told_at(self, home: str, path: str) -> dict[str, str]:
        """What a program in another language must be told, whose manifest is in the folder `home`."""
        return self._noted(self._of_targets(self._of(home, path)))

    def _of(self, home: str, path: str) -> list[Target]:
        """What such a program connects to; in Go, only that which it imports, also from another module."""
        if not path.endswith(".go"):
            imported = siblings.in_node(self._sources.files, home, are_as_written=False) if self._others else ()
            return [target for target in self._others if target.home in (home, *imported)]
        folders = self._go.closure(posixpath.dirname(path))
        return [target for target in self._others if posixpath.dirname(target.path) in folders]

    def elsewhere(self, module: Module) -> Target | None:
        """Where a program in Python connects to, if nothing in it connects to this machine."""
        paths = {part.path for part in self._sources.reachable(module)}
        return self._only_elsewhere([target for target in self._python if target.path in paths])

    def elsewhere_at(self, home: str, path: str) -> Target | None:
        """The same in another language, of a program whose manifest is in the folder `home`."""
        return self._only_elsewhere(self._of(home, path))

    def _only_elsewhere(self, targets: Sequence[Target]) -> Target | None:
        return targets[0] if targets and all(map(self._is_elsewhere, targets)) else None

    def _is_elsewhere(self, target: Target) -> bool:
        text, variable = target.value.text or "", target.value.variable
        is_decided = variable in (_ADDRESS, _HOST) or variable in self._variables
        return bool(_REMOTE.fullmatch(text)) and not is_loopback(text.partition(":")[0]) and not is_decided

    def notes(self) -> Iterator[Text]:
        """What was told, and what nobody can be told. After all programs were asked for."""
        yield from self._notes
        if name := next((name for name in (_ADDRESS, _HOST) if name in self._variables), ""):
            yield from self._given_name(name)
        for target in self._targets:
            if target.flag and (self._is_in_compose(target.value) or self._is_at_another_port(target)):
                yield self._needs_flag(target)
            elif self._is_in_compose(target.value) and target not in self._is_told:
                yield _only_in_compose(target)

    def _is_at_another_port(self, target: Target) -> bool:
        return _fixed_port(target.value) not in (None, int(self._ours.rpartition(":")[2]))

    def _needs_flag(self, target: Target) -> Text:
        return _(
            "{path} connects to {address}, which only an option of its command can change: add `{option}` to it",
            path=target.path,
            address=target.value.text,
            option=f"{target.flag} {self._written}",
        )

    def _given_name(self, name: str) -> Iterator[Text]:
        """That mika itself was given a name of a service."""
        value = self._variables[name]
        if value.partition(":")[0] in self._services:
            yield _(
                "{name} is {value}, a name that exists only inside compose: set it to {instead}, in .env or where it is"
                " set",
                name=name,
                value=value,
                instead=self._ours if ":" in value else _LOCAL,
            )

    def _noted(self, needed: Iterable[_Told]) -> dict[str, str]:
        env: dict[str, str] = {}
        for one in needed:
            is_decided = one.variable in (_ADDRESS, _HOST) and one.variable in self._variables
            if one.variable not in env and not is_decided:
                env[one.variable] = one.value
                if one.why is not None:
                    self._notes[one.why] = None
        return env

    def _of_targets(self, targets: Iterable[Target]) -> Iterator[_Told]:
        for target in targets:
            variable = target.value.variable
            if target.port.variable or target.host.variable:
                yield from self._of_halves(target)
            elif variable == _HOST:
                yield self._whole(target.path)
            elif variable and self._is_in_compose(target.value):
                self._is_told.add(target)
                why = _(
                    "{path} connects to {address}, a name that exists only inside compose: {variable} is {instead}"
                    " instead",
                    path=target.path,
                    address=target.value.text,
                    variable=variable,
                    instead=self._ours,
                )
                yield _Told(variable, self._written, why)
            elif variable not in (_ADDRESS, "", *self._variables) and _is_open(target.value):
                yield _Told(variable, self._written, self._why(target))

    def _of_halves(self, target: Target) -> Iterator[_Told]:
        """Of host and port with variables of their own, where they are not mika's."""
        host, port = target.host, target.port
        is_here = host.text in (None, _LOCAL, "127.0.0.1") or self._is_in_compose(Value(f"{host.text}:0"))
        if self._is_remote or not is_here or host.variable in self._variables:
            return
        self._is_told.add(target)
        if host.variable not in ("", _HOST) and host.text not in (_LOCAL, "127.0.0.1"):
            yield _Told(host.variable, _LOCAL, None)
        if port.variable not in ("", _PORT, *self._variables):
            yield _Told(port.variable, f"${{{_PORT}}}", None)

    def _why(self, target: Target) -> Text | None:
        """Why it is told another address than it would use; None if it is the same."""
        path, variable, address = target.path, target.value.variable, target.value.text
        if address is None:
            return _(
                "{path} connects to what {variable} says: it gets {value}",
                path=path,
                variable=variable,
                value=self._ours,
            )
        if self._ours.endswith(f":{address.rpartition(':')[2]}"):
            return None
        return _(
            "{path} connects to {address} unless {variable} is set: it gets {value}",
            path=path,
            address=address,
            variable=variable,
            value=self._ours,
        )

    def _of_defaults(self, parts: Iterable[Module]) -> Iterator[_Told]:
        for part in parts:
            if _HOST not in self._variables and _WHOLE.fullmatch(
                self._sources.value(part.defaults.get(_HOST), part).text or ""
            ):
                yield self._whole(part.path)

    def _of_comparisons(self, parts: Iterable[Module]) -> Iterator[_Told]:
        """Mika's own value is a number: for who compares it with the name, that is a server elsewhere."""
        texts: dict[str, set[str]] = {}
        places: dict[str, str] = {}
        for part in parts:
            for subject, compared in part.compared:
                variable = self._sources.value(_innermost(subject), part).variable
                texts.setdefault(variable, set()).update(compared)
                places.setdefault(variable, part.path)
        for variable, value, written in ((_ADDRESS, self._ours, self._written), (_HOST, _LOCAL, _LOCAL)):
            if (
                variable in texts
                and variable not in self._variables
                and not any("127." in text for text in texts[variable])
            ):
                why = _(
                    "{path} compares {variable} with localhost, and not with 127.0.0.1: it gets {value}",
                    path=places[variable],
                    variable=variable,
                    value=value,
                )
                yield _Told(variable, written, why)

    def _whole(self, path: str) -> _Told:
        why = _(
            "{path} has host and port in {variable}: it gets {address}", path=path, variable=_HOST, address=self._ours
        )
        return _Told(_HOST, self._written, why)

    def _is_in_compose(self, value: Value) -> bool:
        host = (value.text or "").partition(":")[0]
        return bool(_BARE.fullmatch(host)) and host != _LOCAL and value.variable not in (_ADDRESS, _HOST)


def _is_fixed(target: Target) -> bool:
    """Whether neither an option nor a variable for its port can change it."""
    return not target.flag and not target.port.variable


def _is_open(value: Value) -> bool:
    """Whether it is what a variable says, and without it nothing, or this machine."""
    return value.text is None or _is_here(value)


def _is_here(value: Value) -> bool:
    host, _colon, port = (value.text or "").partition(":")
    return host in (_LOCAL, "127.0.0.1") and port.isdecimal()


def _innermost(node: ast.expr) -> ast.expr:
    """`address` of `address.split(":")[0]`, `address.lower()` and the like."""
    while True:
        match node:
            case ast.Subscript(value=ast.Call(func=ast.Attribute(value=inner, attr="split" | "rsplit" | "partition"))):
                node = inner
            case ast.Call(func=ast.Attribute(value=inner, attr="lower" | "strip" | "casefold")):
                node = inner
            case _:
                return node


def _fixed_port(value: Value) -> int | None:
    """The port of this machine, if nothing can change it."""
    return int((value.text or "").partition(":")[2]) if _is_here(value) and not value.variable else None


def why_fixed(target: Target) -> Text:
    """Why the server has the port of a target."""
    if target.value.file:
        return _("{file} has this port (to use another one, change it there, too)", file=target.value.file)
    return _("{path} always connects to this port", path=target.path)


def _only_in_compose(target: Target) -> Text:
    path, address, variable = target.path, target.value.text, target.value.variable
    if not variable:
        return _(
            "{path} connects to {address}, a name that exists only inside compose: change it",
            path=target.value.file or path,
            address=address,
        )
    return _(
        "{path} connects to {address}, a name that exists only inside compose: set {variable}",
        path=path,
        address=address,
        variable=variable,
    )


def question(target: Target, name: str) -> Text:
    """Whether the process `name` is to run with the server at `target`."""
    path, address, variable = target.path, target.value.text, target.value.variable
    if not variable:
        return _(
            "{path} connects to {address}, not to mika's server: is {name} to run with that one?",
            path=path,
            address=address,
            name=name,
        )
    return _(
        "{path} connects to {address} unless {variable} is set: is {name} to run with that server?",
        path=path,
        address=address,
        variable=variable,
        name=name,
    )
