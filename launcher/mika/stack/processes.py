"""Turn the Procfile and its options into units: what to run, and what each process waits for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from mika.backends.base import temporal_probe
from mika.config import references
from mika.config.environment import without_twins
from mika.config.load import Config
from mika.config.process_options import ProcessOptions, Ready, parse_ready
from mika.detect import packages
from mika.errors import UsageError
from mika.machine import ports
from mika.procfile import command
from mika.procfile import entries as procfile
from mika.project.folder import ProjectDir
from mika.stack.debugging import for_debugger
from mika.stack.probes import ProbeFactory, own_port
from mika.status import Condition
from mika.supervisor.guard import ServiceSpec
from mika.supervisor.missing import fix_for_missing, fix_for_script
from mika.supervisor.policy import Rules
from mika.supervisor.reload import DEFAULT_PATTERNS
from mika.supervisor.unit import Launch, Probes, Unit
from mika.text import unknown_name
from mika.wording import _, joined

if TYPE_CHECKING:
    from mika.stack.check_command import CheckCommand


def _queues_in_code(config: Config) -> frozenset[str]:
    """Blocks for seconds."""
    from mika.detect.written import queues_in_code  # few need it

    return queues_in_code(config)


class ProcessFactory:
    """Creates the units of one project. It checks all of its input, so nothing is started if there is a mistake.

    `needed` is what its processes wait for by default, `known` are the services that they may wait for.
    """

    def __init__(
        self,
        config: Config,
        folder: ProjectDir,
        *,
        needed: Sequence[str] = (),
        known: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        entries: Sequence[procfile.Entry] | None = None,
    ) -> None:
        self._config, self._folder, self._entries = config, folder, entries
        self._needed, self._known = needed, known
        self._added_env = dict(env or {})
        self._env = config.child_env() | self._added_env
        hang_timeout = config.number("MIKA_HANG_TIMEOUT")
        self._probes = ProbeFactory(
            partial(temporal_probe, config), folder.logs, hang_timeout, cache(partial(_queues_in_code, config))
        )

    def with_config(self, config: Config) -> ProcessFactory:
        """The same project with other settings."""
        return ProcessFactory(
            config,
            self._folder,
            needed=self._needed,
            known=self._known,
            env=self._added_env,
            entries=self._entries,
        )

    @property
    def has_procfile(self) -> bool:
        """Else the processes are what was found in the project."""
        return self._entries is None

    def units(self, selection: Sequence[str]) -> list[Unit]:
        """The units for the processes of the Procfile that `selection` names (`worker`, `worker=2`; empty: all).

        Raises UsageError for a mistake in the Procfile, an option or a command.
        """
        entries = self._entries or procfile.read(self._config.project / "Procfile")
        names = [entry.name for entry in entries]
        for table, where in self._config.process_tables.items():
            if table not in names:
                raise _unknown_process(where, table, names)
        counts = {entry.name: self._config.process(entry.name).count for entry in entries}
        entries, selected_counts = procfile.select(entries, selection)
        instances = procfile.expand(entries, counts | selected_counts, self._env)
        self._check_needs(names)
        return [self._unit(instance) for instance in instances]

    def _check_needs(self, names: Sequence[str]) -> None:
        """Raise UsageError for a need that does not exist, and for processes that need each other."""
        needs = {name: [need.name for need in self._config.process(name).needs or ()] for name in names}
        known = [*names, "temporal", *self._known]
        for name, needed in needs.items():
            where = self._config.process_tables.get(name, "")
            for need in needed:
                if need not in known:
                    raise _unknown_process(where, need, known)
        if not any(needs.values()):
            return
        from graphlib import CycleError, TopologicalSorter

        try:
            tuple(TopologicalSorter(needs).static_order())
        except CycleError as error:
            cycle = joined(_(" needs "), reversed(error.args[1]))
            where = self._config.process_tables.get(error.args[1][0], "")
            text = _("{where}: {cycle}: none of them can ever start", where=where, cycle=cycle)
            raise UsageError(text, _("remove one of these needs")) from None

    def _unit(self, instance: procfile.Instance) -> Unit:
        options = self._config.process(instance.type)
        cwd = self._config.project / options.cwd if options.cwd else self._config.project
        beat_file = self._folder.run / f"{instance.name}.beat"
        env = self._env_of(instance, options, cwd, beat_file)
        known = {**self._config.defaults(), **env}
        built = self._built(instance, cwd, known)
        env = without_twins(env | built.env)
        ready, rule = self._ready(instance.type, options, env)
        needs = self._needs(options)
        return Unit(
            name=instance.name,
            type=instance.type,
            role="process",
            address=ready,
            spec=self._spec_of(instance.name, options, built.line, cwd, env),
            probes=self._probes_of(instance, options, ready, self._check_of(instance, rule, cwd, env, known)),
            needs=tuple(needs),
            conditions={name: condition for name, condition in needs.items() if condition != "ready"},
            rules=Rules(
                restart=options.restart,
                max_failures=options.max_restarts + 1,
                early=options.early,
                probed=ready != "none",
            ),
            ends=options.ends,
            ready_timeout=options.ready_timeout,
            check=options.check and self._config.text("MIKA_CHECK") == "true",
            port=instance.port,
            probed_port=own_port(rule),
            beat_file=beat_file,
            behind_shell=built.behind_shell,
            note=self._lack(instance.type, built, cwd, env),
            fix_for_missing=partial(fix_for_missing, self._config.project, cwd),
            watch=_default_watch(options) if options.watch is None else options.watch,
            watches_imports=options.watch is None,
        )

    def _built(self, instance: procfile.Instance, cwd: Path, known: Mapping[str, str]) -> command.Command:
        where = f"Procfile:{instance.line}" if instance.line else instance.name
        try:
            return command.build(instance.command, known, cwd, where=where, platform=sys.platform)
        except UsageError as error:
            unknown = error.__cause__
            if not isinstance(unknown, command.NotOnPathError):
                raise
            if not (commands := fix_for_script(self._config.project, cwd, unknown.program)):
                raise
        text = _(
            "{where}: the project makes the program '{program}', and is not installed",
            where=where,
            program=unknown.program,
        )
        raise UsageError(text, _("install it: {commands}", commands=commands))

    def _env_of(
        self, instance: procfile.Instance, options: ProcessOptions, cwd: Path, beat_file: Path
    ) -> dict[str, str]:
        own_env = self._config.child_env(cwd=cwd) | self._added_env if options.cwd else self._env
        env = {**own_env, "PORT": str(instance.port)}
        with self._blamed(instance.type, "env"):
            env |= references.filled_env(options.env, {**self._config.defaults(), **env})
        env |= {"MIKA_PROCESS": instance.name, "MIKA_BEAT_FILE": str(beat_file)}
        if options.hang_timeout is not None:
            env["MIKA_HANG_TIMEOUT"] = f"{options.hang_timeout:g}"
        return env

    def _spec_of(
        self, name: str, options: ProcessOptions, line: tuple[str, ...] | str, cwd: Path, env: Mapping[str, str]
    ) -> Callable[[Launch], ServiceSpec]:
        def spec(launch: Launch) -> ServiceSpec:
            plain = ServiceSpec(
                name=name,
                command=line,
                cwd=cwd,
                env={**env, "MIKA_RUN_ID": launch.run_id, "MIKA_WORKER_IDENTITY": launch.identity},
                log_dir=self._folder.logs,
                log_max_bytes=int(self._config.number("MIKA_LOG_MAX_MB") * 1e6),
                stop_signal=options.stop_signal,
                grace=options.grace,
                stdin=options.stdin,
            )
            return for_debugger(plain, self._folder) if launch.debug else plain

        return spec

    def _check_of(
        self, instance: procfile.Instance, rule: Ready, cwd: Path, env: Mapping[str, str], known: Mapping[str, str]
    ) -> CheckCommand | None:
        """The command that says whether the process is ready, if it has such a rule."""
        if rule.kind != "exec":
            return None
        where = f"{self._config.process_tables.get(instance.type, '')}: 'ready'"
        built = command.build(rule.target, known, cwd, where=where, platform=sys.platform)
        from mika.stack.check_command import CheckCommand  # few have one

        return CheckCommand(instance.name, built.line, cwd, without_twins({**env, **built.env}), self._folder.run)

    def _probes_of(
        self, instance: procfile.Instance, options: ProcessOptions, ready: str, check: CheckCommand | None
    ) -> Probes:
        probes = self._probes.make(instance.name, ready, options.hang_timeout, check)
        unhurried = self._probes.make(instance.name, ready, 0.0, check)  # nothing that a debugger holds is hung
        return lambda launch: (unhurried if launch.debug else probes)(launch)

    def _ready(self, process_type: str, options: ProcessOptions, env: Mapping[str, str]) -> tuple[str, Ready]:
        with self._blamed(process_type, "ready"):
            ready = references.fill_in(options.ready, {**self._config.defaults(), **env})
            return ready, parse_ready(ready)

    @contextmanager
    def _blamed(self, process_type: str, option: str) -> Iterator[None]:
        """An error in what an option is with its variables filled in names the option."""
        try:
            yield
        except ValueError as error:
            where = self._config.process_tables.get(process_type, "")
            text = _("{where}: '{option}' {problem}", where=where, option=option, problem=error)
            raise UsageError(text, _("set it in .env, or write the value")) from None

    def _lack(self, process_type: str, built: command.Command, cwd: Path, env: Mapping[str, str]) -> str:
        """The first package that its Python does not have, and what installs it; empty if nothing is known to lack."""
        missing = None if isinstance(built.line, str) else packages.find_missing(built.line, cwd, env)
        if missing is None:
            return ""
        from mika.detect.environments import how_to_install

        text = _(
            "{name}: {module} is not installed in {folder}",
            name=process_type,
            module=missing.module,
            folder=missing.root,
        )
        install = how_to_install(self._config.project, cwd, Path(built.line[0]) if missing.is_environment else None)
        if install:
            return text + _(": run {command}", command=install)
        if missing.is_environment and missing.root.is_relative_to(self._config.project):
            return text + _("; install it there: nothing here says which packages the project needs")
        return text + _(
            "; nothing here says which packages the project needs: make an environment for them ({command})",
            command="`python -m venv .venv`",
        )

    def _needs(self, options: ProcessOptions) -> dict[str, Condition]:
        """What the process waits for, by name."""
        if options.needs is not None:
            return {need.name: need.condition or self._default_condition(need.name) for need in options.needs}
        return dict.fromkeys(self._needed, "ready")

    def _default_condition(self, needed: str) -> Condition:
        """A process that runs once is of use when it has done its work, unless it says when it is ready."""
        options = self._config.process(needed)
        runs_once = options.restart == "never" and options.ready == "none"
        return "completed" if runs_once else "ready"


def _unknown_process(where: str, name: str, known: Sequence[str]) -> UsageError:
    problem = unknown_name(_("process"), name, known).message
    return UsageError(_("{where}: {problem}", where=where, problem=problem))


def _default_watch(options: ProcessOptions) -> tuple[str, ...]:
    """The sources below the process's own folder."""
    if options.cwd is None:
        return DEFAULT_PATTERNS
    folder = PurePath(options.cwd).as_posix().removeprefix("./").rstrip("/")
    return tuple(f"{folder}/{pattern}" for pattern in DEFAULT_PATTERNS)


def check_ports(config: Config, units: Sequence[Unit]) -> None:
    """Raise UsageError when a port is in use that a process is probed at: ours could not listen, and not be ready."""
    for unit in units:
        if references.names(config.process(unit.type).ready, "API_PORT"):
            ports.check_free(config.text("API_HOST"), ports.setting_of(config, "API_PORT"))
        elif unit.role == "process" and (port := own_port(parse_ready(unit.address))):
            listener = ports.find_listener("127.0.0.1", port) or ports.find_listener("::1", port)
            if listener is not None:
                raise UsageError(
                    _(
                        "port {port} is taken by {program}, and {name} is to listen there",
                        port=port,
                        program=ports.describe_listener(listener),
                        name=unit.name,
                    ),
                    _(
                        "{stop}, or give {name} another port (and change its `ready` setting)",
                        stop=ports.how_to_stop(listener),
                        name=unit.name,
                    ),
                    code="port_taken",
                )
