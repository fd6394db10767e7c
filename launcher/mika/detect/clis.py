"""The programs that have commands, with click or typer: which command does something."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from mika.detect import reach
from mika.detect.environments import installed_scripts
from mika.detect.fields import literal
from mika.detect.modules import ON_RUN, Command, Module
from mika.detect.sources import Sources, Start
from mika.quoting import quoted

_DEEPEST = 5


def start_of(sources: Sources, module: Module, does: Callable[[set[reach.Place]], bool]) -> Start | None:
    """How the only command is started that `does` it, as far as names tell; None without, or if it needs input."""
    found = [
        command
        for command in module.commands
        if not command.is_group and does(reach.reached_from(sources, [(module.path, command.function)]))
    ]
    named = [command for command in found if "worker" in " ".join(_words(module, command)[1:])]
    if len(found) > 1:
        found = named
    if len(found) != 1 or found[0].needs_input:
        return None
    root, *words = _words(module, found[0])
    start = _start_of_root(sources, module, root)
    return start and replace(start, command=" ".join([start.command, *map(quoted, words)]))


def _words(module: Module, command: Command) -> list[str]:
    """What the program is called in its module, and the words for a command of it."""
    by_function = {each.function: each for each in module.commands}
    words, owner = [command.name], command.owner
    if not owner:
        owner, name = module.added.get(command.function, ("", ""))
        words = [name or command.name] if owner else []
    elif _is_only_one(module, owner):
        words = []
    for _step in range(_DEEPEST):
        group = by_function.get(owner)
        above, name = (group.owner, group.name) if group is not None else ("", "")
        if not above:
            above, given = module.added.get(owner, ("", ""))
            name = given or name or _own_name(module, owner)
        if not above:
            break
        words.insert(0, name)
        owner = above
    return [owner or command.function, *words]


def _is_only_one(module: Module, owner: str) -> bool:
    """Typer needs no name then."""
    if owner not in dict(module.made) or owner in module.with_callback or owner in module.added:
        return False
    below = [each for each in module.commands if each.owner == owner]
    return len(below) == 1 and not any(above == owner for above, _name in module.added.values())


def _own_name(module: Module, owner: str) -> str:
    call = dict(module.made).get(owner)
    return (literal(module.keyword(call, "name")) or "") if call is not None else ""


def _start_of_root(sources: Sources, module: Module, root: str) -> Start | None:
    if root in module.uses.get(ON_RUN, ()):
        return sources.start_of(module)
    home, (_folder, name) = sources.files.home_of(module.path), sources.name_of(module)
    script = installed_scripts(sources.files, home).get(f"{name}:{root}")
    return Start(home, script) if script is not None else None
