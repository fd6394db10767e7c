"""Programs in Python that mika names and leaves to the user: bots of chats, apps of Streamlit and the like, Celery."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterator

from mika.detect import naming
from mika.detect.fields import dotted
from mika.detect.modules import ON_IMPORT, Module
from mika.detect.sources import Sources, Start
from mika.quoting import quoted
from mika.wording import Text, _

_BOTS = {
    "telegram": "Telegram",
    "telebot": "Telegram",
    "aiogram": "Telegram",
    "pyrogram": "Telegram",
    "telethon": "Telegram",
    "discord": "Discord",
    "nextcord": "Discord",
    "disnake": "Discord",
    "slack_bolt": "Slack",
}
_UIS = {"streamlit": ("Streamlit", "streamlit run"), "chainlit": ("Chainlit", "chainlit run")}
_OWN_SERVERS = {"gradio": "Gradio"}
_STARTS = {"run", "run_polling", "start_polling", "infinity_polling", "polling", "launch", "start"}
"""What such a program calls at its end."""


def left_out(sources: Sources, started: Collection[str], taken: set[str]) -> Iterator[Text]:
    """A line for each, with what runs it. `started` are the files that mika runs; names are added to `taken`."""
    for module in sources.entries:
        path = module.path
        if path not in started and (known := _known(sources, module)) is not None:
            kind, name, start = known
            command = " ".join([*(f"{variable}={quoted(value)}" for variable, value in start.env), start.command])
            line = f"{naming.unique(name, taken)}: {command}"
            if start.cwd:
                yield _(
                    "the {kind} of {path}: left out; to run it, add `{line}` to the Procfile, and its folder to"
                    " mika.toml: `cwd = {folder}`",
                    kind=kind,
                    path=path,
                    line=line,
                    folder=f'"{start.cwd}"',
                )
            else:
                yield _(
                    "the {kind} of {path}: left out; to run it, add `{line}` to the Procfile",
                    kind=kind,
                    path=path,
                    line=line,
                )


def _known(sources: Sources, module: Module) -> tuple[Text, str, Start] | None:
    """What it is, a name for it, and how it is started."""
    packages = {source.partition(".")[0] for source, _name in module.imports.values()}
    start = sources.start_of(module) or _started_on_import(sources, module)
    for package, kind in (_BOTS | _OWN_SERVERS).items():
        if package in packages and start is not None:
            is_bot = package in _BOTS
            what = _("{kind} bot", kind=kind) if is_bot else _("{kind} app", kind=kind)
            return what, "bot" if is_bot else "ui", start
    for package, (kind, command) in _UIS.items():
        if package in packages and _is_page(module, package):
            return _("{kind} app", kind=kind), "ui", _in_its_part(sources, module, command)
    if "celery" in packages and any(dotted(call.func).rpartition(".")[2] == "Celery" for _name, call in module.made):
        root, name = sources.name_of(module)
        return _("Celery worker"), "celery", Start(root, f"celery -A {name} worker")
    return None


def _is_page(module: Module, package: str) -> bool:
    """Whether it is the page itself, which does all of it when it is imported, and not a part of one."""
    local = {name for name, (source, _attribute) in module.imports.items() if source.partition(".")[0] == package}
    # Chainlit's decorators are a part of the functions.
    places = module.uses.values() if package == "chainlit" else [module.uses.get(ON_IMPORT, set())]
    used = {used.partition(".")[0] for names in places for used in names}
    return not local.isdisjoint(used)


def _started_on_import(sources: Sources, module: Module) -> Start | None:
    used = {used.rpartition(".")[2] for used in module.uses.get(ON_IMPORT, ()) if "." in used}
    return None if used.isdisjoint(_STARTS) else _in_its_part(sources, module, "python")


def _in_its_part(sources: Sources, module: Module, command: str) -> Start:
    home = sources.files.home_of(module.path)
    return Start(home, f"{command} {quoted(posixpath.relpath(module.path, home or '.'))}")
