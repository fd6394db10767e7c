"""What was found in a project: its processes, the settings they need, and what cannot be known."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field

from mika.config.process_options import Need, ProcessOptions, Restart
from mika.detect.environments import Tooling
from mika.frozen import frozen

ALL = "all"
"""The answer to a question with choices that takes all of them."""
UNKNOWN_QUEUE = "QUEUE"


@frozen
class Process:
    """One line of the Procfile and its table in mika.toml. `why` are the guesses in it, a sentence each."""

    name: str
    command: str
    ready: str
    environment: Tooling
    why: tuple[str, ...]
    queues: tuple[str, ...] = ()
    cwd: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    restart: Restart = "always"
    needs: tuple[str, ...] = ()
    watch: tuple[str, ...] = ()
    """Both empty for the default."""
    own_port: int = 0
    """The port in it that API_PORT decides."""

    def with_setting(self, text: str, setting: str = "$API_PORT") -> str:
        """With API_PORT in place of its value, so that another one in `.env` reaches the process."""
        return re.sub(rf"\b{self.own_port}\b", setting, text) if self.own_port else text

    def options(self) -> ProcessOptions:
        return ProcessOptions(
            ready=self.with_setting(self.ready),
            cwd=self.cwd or None,
            env={name: self.with_setting(value, "${API_PORT}") for name, value in self.env.items()},
            restart=self.restart,
            needs=tuple(map(Need, self.needs)) or None,
            watch=self.watch or None,
        )


@frozen
class Question:
    """`key` names it in the answers. Without `choices`, any text is an answer."""

    key: str
    text: str
    choices: tuple[str, ...] = ()


@frozen
class Guess:
    """The value of a setting, and why."""

    value: str
    why: str


@frozen
class Proposal:
    """With open `questions`, `processes` has every candidate, and `QUEUE` for a queue that is not known."""

    processes: tuple[Process, ...]
    settings: Mapping[str, Guess]
    questions: tuple[Question, ...]
    notes: tuple[str, ...]
    example: str
    """Lines of a Procfile for a project like this one, if it has no processes."""
