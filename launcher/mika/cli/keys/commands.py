"""What each key does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from mika.cli.browser import open_page
from mika.cli.context import use_color
from mika.cli.keys import Ends, decoding
from mika.cli.keys.finding import Found
from mika.cli.language import shown
from mika.cli.screen.pretty import Pretty
from mika.cli.screen.progress import doing
from mika.cli.screen.selection import Selection, pattern_of
from mika.cli.screen.view import View
from mika.cli.screen.width import pad
from mika.config.load import Config
from mika.control.client import Client
from mika.control.requests import Verb
from mika.errors import MikaError
from mika.frozen import frozen
from mika.project.folder import ProjectDir
from mika.status import StackStatus, UnitStatus
from mika.wording import _, listed

_LABELS = "123456789ABCDEFGHIJKLMOPQRSTUVWXYZ"  # no N: the match before
_LAST_MATCHES = 10
_HELD = 1.0  # s


@frozen
class _Question:
    """What the next key answers. `answers`: by key, what it stands for; any other key takes the question back."""

    text: str
    answers: Mapping[str, str]
    then: Callable[[str], None]

    def __str__(self) -> str:
        options = "  ".join(f"{key} {answer}" for key, answer in self.answers.items())
        return shown(_("{question} {options}  Esc: none", question=self.text, options=options))


class Commands:
    """`press` is called by one thread. `status` is what was heard last; `draw` shows the status line again."""

    def __init__(
        self, view: View, folder: ProjectDir, config: Callable[[], Config], ends: Ends, draw: Callable[[], None]
    ) -> None:
        self.status: StackStatus | None = None
        self._view, self._folder, self._config, self._ends, self._draw = view, folder, config, ends, draw
        self._client = Client(folder)
        self._asked: _Question | None = None
        self._pretty: Pretty | None = None
        self._stopped_at = float("-inf")
        self._typed: str | None = None  # what to find, while it is typed
        self._found: Found | None = None
        self._keys: dict[str, Callable[[], None]] = {
            "?": self._help,
            "r": lambda: self._of_one(_("restart:"), self._restart),
            "s": lambda: self._of_one(_("stop or start:"), self._stop_or_start),
            "l": lambda: self._choose(replace(view.selection, level=view.selection.next_level)),
            "p": lambda: self._choose(replace(view.selection, is_pretty=not view.selection.is_pretty)),
            "/": self._begin_to_find,
            "n": lambda: self._step(+1),
            "N": lambda: self._step(-1),
            "o": self._open,
            "q": self._stop,
        }
        if (detach := ends.detach) is not None:
            self._keys["d"] = lambda: self._detach(detach)

    @property
    def shown(self) -> tuple[str, ...]:
        """What of the logs is shown, if not all of it as usual."""
        selection = self._view.selection
        return (*selection.words, *(() if selection.is_pretty else (shown(_("raw")),)))

    @property
    def question(self) -> str:
        """What the person is asked just now."""
        if self._typed is not None:
            return shown(_("find: {typed}_  (Enter: find, Esc: not)", typed=self._typed))
        return str(self._asked) if self._asked is not None else ""

    def press(self, key: str) -> None:
        try:
            if self._typed is not None:
                self._edit(key, self._typed)
            elif (asked := self._asked) is not None:
                self._asked = None
                if key in asked.answers:
                    asked.then(asked.answers[key])
            elif action := self._keys.get(key):
                action()
            elif unit := self._units().get(key):
                self._show_only(unit)
        except MikaError as error:
            self._say(
                _("{message} ({hint})", message=error.message, hint=hint)
                if (hint := error.brief_hint)
                else error.message
            )
        self._draw()

    # --- what is shown -----------------------------------------------------------------------------------------------

    def _help(self) -> None:
        units = listed([f"{key} {unit.name}" for key, unit in self._units().items()])
        rows = [
            ("1-9", _("only the lines of one (again: of all): {units}", units=units)),
            ("r s", _("restart one; stop it, or start it")),
            ("l p", _("level: all, warning, error; lines readable, or as they were written")),
            ("/ n N", _("find (matches are marked); the next match, the one before")),
            ("o", _("open the UI or the API in the browser")),
            *([("d", _("detach: the stack goes on"))] if self._ends.detach is not None else []),
            (
                "q",
                _("stop the stack, as Ctrl-C does")
                if self._ends.is_own
                else _("stop the stack (Ctrl-C only detaches)"),
            ),
        ]
        self._say("\n".join([shown(_("keys")), *(f"  {pad(keys, 6)} {shown(text)}" for keys, text in rows)]))

    def _show_only(self, unit: UnitStatus) -> None:
        if unit.name not in self._view.logged:
            self._say(_("{name} is a container: `mika logs {name}` has its lines", name=unit.name))
            return
        selection = self._view.selection
        self._choose(replace(selection, only="" if selection.only == unit.name else unit.name))

    def _choose(self, selection: Selection) -> None:
        if self._pretty is None:
            self._pretty = Pretty(self._view.names, self._folder.project, color=use_color())
        self._view.choose(selection, self._pretty)

    def _begin_to_find(self) -> None:
        self._typed = ""

    def _edit(self, key: str, typed: str) -> None:
        match key:
            case decoding.ESCAPE:
                self._typed = None
            case decoding.ENTER:
                self._typed = None
                self._find(typed)
            case decoding.BACKSPACE:
                self._typed = typed[:-1]
            case decoding.CLEAR:
                self._typed = ""
            case _ if key.startswith(decoding.PASTED):
                self._typed = typed + "".join(filter(str.isprintable, key.removeprefix(decoding.PASTED)))
            case _:
                self._typed = typed + key

    def _find(self, text: str) -> None:
        self._choose(replace(self._view.selection, find=text))
        self._found = None
        pattern = pattern_of(text)
        if pattern is None:
            return
        only = self._view.selection.only
        found = self._found = Found(self._folder.logs, [only] if only else self._view.logged, pattern)
        last = found.last(_LAST_MATCHES)
        if len(found) > len(last):
            self._say(_("{count} matches of {text!r} in the logs, the last ones:", count=len(found), text=text))
        else:
            self._say(_("{count} matches of {text!r} in the logs", count=len(found), text=text))
        if lines := "".join(self._view.shown_line(*match) for match in last):
            self._view.say(lines.removesuffix("\n"))

    def _step(self, by: int) -> None:
        if self._found is None:
            self._say(_("first find something with /"))
            return
        match = self._found.step(by)
        if match is None:
            self._say(_("no match after that") if by > 0 else _("no match before that"))
            return
        self._say(_("match {number} of {count}", number=self._found.number, count=len(self._found)))
        self._view.say(self._view.shown_line(*match).removesuffix("\n"))

    # --- what is done ------------------------------------------------------------------------------------------------

    def _of_one(self, question: str, action: Callable[[str], None]) -> None:
        """Do it to the process whose lines are shown; ask which, if all are."""
        if only := self._view.selection.only:
            action(only)
            return
        answers = {key: unit.name for key, unit in self._units().items() if unit.kind != "external"}
        self._asked = _Question(question, answers, action)

    def _tell(self, verb: Verb, name: str) -> None:
        names, _notes = self._client.control(verb, [name])  # what else is to be known is shown as an event
        self._say(doing(verb, names))

    def _stop_or_start(self, name: str) -> None:
        unit = self._client.status().unit(name)
        self._tell("start" if unit is not None and unit.is_at_rest else "stop", name)

    def _stop(self) -> None:
        """The stack. A second time forces it, and a key that is held down for a moment is one."""
        now = time.monotonic()
        if now - self._stopped_at > _HELD:
            self._stopped_at = now
            self._ends.stop()

    def _detach(self, detach: Callable[[], None]) -> None:
        """What is typed from now on is for the shell."""
        self._keys.clear()
        detach()

    def _restart(self, name: str) -> None:
        unit = self.status.unit(name) if self.status is not None else None
        if unit is None or not unit.pid or not unit.address.startswith("worker:"):
            self._tell("restart", name)
            return
        # As `mika restart`: a worker's new code is checked first. That takes seconds, in which keys work.
        self._say(_("checking whether the new code of {name} fits the open runs", name=name))
        threading.Thread(target=self._check_and_restart, args=(unit,), name="check", daemon=True).start()

    def _check_and_restart(self, unit: UnitStatus) -> None:
        from mika.stack import checking

        try:
            verdicts = checking.check_running(self._config(), self._folder, [unit.type])
            if not any(verdict.refuses for verdict in verdicts):
                self._tell("restart", unit.name)
                return
        except MikaError as error:
            self._say(_("{name}: not restarted: {reason}", name=unit.name, reason=error.message))
            return
        self._say(
            _(
                "{name}: the new code does not fit the open runs: `mika check {type}` says why",
                name=unit.name,
                type=unit.type,
            )
        )
        self._asked = _Question(_("restart all the same?"), {"y": unit.name}, lambda name: self._tell("restart", name))
        self._draw()

    def _open(self) -> None:
        urls = self.status.urls if self.status is not None else {}
        only = self._view.selection.only.replace("-", "_")
        if only in urls or len(urls) == 1:
            self._open_url(urls.get(only) or next(iter(urls.values())))
        elif urls:
            by_words = {name.replace("_", " "): url for name, url in urls.items()}
            answers = dict(zip(_LABELS, by_words, strict=False))
            self._asked = _Question(_("open:"), answers, lambda words: self._open_url(by_words[words]))
        else:
            self._say(_("nothing here has an address to open"))

    def _open_url(self, url: str) -> None:
        is_open = open_page(url)
        self._say(_("opening {url}", url=url) if is_open else _("open it in your browser: {url}", url=url))

    def _units(self) -> dict[str, UnitStatus]:
        """By the key that chooses each."""
        units = self.status.units if self.status is not None else ()
        return dict(zip(_LABELS, units, strict=False))

    def _say(self, text: str) -> None:
        self._view.say(text)
