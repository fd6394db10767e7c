"""From `mika up` to the first answered message, beside the same stack started by hand, and beside a fixed wait of 60 s.

    python -m benchmarks.startup --runs 7
    python -m benchmarks.startup --docker --runs 5  # on the Docker backend, beside `docker compose up -d --wait`
    python -m benchmarks.startup --profile          # where the time goes

By hand means: server, worker and API are started at once, with the very commands and environment that mika gives them.
All variants are asked in the same way: the message is posted, with one `message_id`, until it is answered with 200.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import IO

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mika import backends
from mika.config import load as config
from mika.project.folder import ProjectDir
from mika.stack.processes import ProcessFactory
from mika.supervisor.guard import ServiceSpec
from mika.supervisor.unit import Launch

from benchmarks import common
from benchmarks.common import Failed, Place

STEP = 0.01
"""Seconds between two posts that were not answered."""
SEED_WAIT = 60.0
TIMEOUT = 60.0
OK = 200
# As in this project's pyproject.toml: its API and worker wait for Temporal by themselves, and not for mika.
EARLY = "[process.api]\nearly = true\n[process.worker]\nearly = true\n"

Start = Callable[[Place], contextlib.AbstractContextManager[None]]


@contextlib.contextmanager
def project() -> Iterator[Place]:
    """A copy of the bot in a folder of its own, on ports of its own."""
    temporal, ui, api = map(str, common.free_ports(3))
    ports = {"TEMPORAL_PORT": temporal, "TEMPORAL_UI_PORT": ui, "API_PORT": api, "MIKA_BACKEND": "embedded"}
    with common.place(ports) as place:
        shutil.copy(common.ROOT / "Procfile", place.folder)
        shutil.copytree(common.ROOT / "src", place.folder / "src")
        yield place


# --- four ways to start it -------------------------------------------------------------------------------------------


@contextlib.contextmanager
def by_mika(place: Place, *, toml: str = "", arguments: tuple[str, ...] = ()) -> Iterator[None]:
    (place.folder / "mika.toml").write_text(toml, encoding="utf-8")
    with (place.folder / "up.out").open("wb") as output:
        process = place.run([*common.mika(), *arguments, "up"], output)
    try:
        yield
    finally:
        common.stop(process)


@contextlib.contextmanager
def by_hand(place: Place, *, wait: float = 0.0) -> Iterator[None]:
    server, *processes = specs(place)
    started: list[subprocess.Popen[bytes]] = []
    with (place.folder / "hand.out").open("wb") as output:
        try:
            started.append(run_spec(place, server, output))
            time.sleep(wait)
            started += [run_spec(place, spec, output) for spec in processes]
            yield
        finally:
            for process in reversed(started):
                common.stop(process)


def specs(place: Place) -> list[ServiceSpec]:
    """What mika would start here: the server (unless it is in a container), then the processes of the Procfile."""
    settings = config.load(place.folder, environ=place.env)
    folder = ProjectDir(settings.project)
    folder.create()
    backend, _ = backends.make(settings, folder)
    processes = ProcessFactory(settings, folder, needed=backend.needed, env=backend.environment())
    units = [*backend.units(), *processes.units(())]
    launch = Launch(1, "", "", None, tuple)
    found = [unit.spec(launch) for unit in units if unit.spec is not None]
    return sorted(found, key=lambda spec: ("temporal", "worker", "api").index(spec.name))


def run_spec(place: Place, spec: ServiceSpec, output: IO[bytes]) -> subprocess.Popen[bytes]:
    argv = ["/bin/sh", "-c", spec.command] if isinstance(spec.command, str) else spec.command
    # The variables that only a supervisor needs are left out; the server's own environment is that of the caller.
    env = {name: value for name, value in spec.env.items() if not name.startswith("MIKA_")}
    return place.run(argv, output, cwd=spec.cwd, env=place.env | env)


# --- the measurement -------------------------------------------------------------------------------------------------


def first_answer(place: Place, start: Start) -> float:
    """Seconds from before the first process is spawned until the message is answered."""
    began = time.monotonic()
    with start(place):
        until_answered(place)
        return time.monotonic() - began


def until_answered(place: Place) -> None:
    """Post one message until it is answered."""
    body = json.dumps({"user_id": "benchmark", "message": "hello", "message_id": f"m-{time.time_ns()}"})
    deadline = time.monotonic() + TIMEOUT
    while (status := post(int(place.env["API_PORT"]), body)) != OK:
        if time.monotonic() > deadline:
            raise Failed(f"no answer within {TIMEOUT:.0f} s (last: {status or 'refused'})")
        time.sleep(STEP)


def post(port: int, body: str) -> int:
    """The status; 0 when nothing listens yet."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("POST", "/webhook/langbot", body, {"Content-Type": "application/json"})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def cold_and_warm(start: Start) -> tuple[float, float]:
    """With a fresh database, and again with the one that this made."""
    with project() as place:
        return first_answer(place, start), first_answer(place, start)


def compare(runs: int, *, seed: bool) -> None:
    variants: dict[str, Start] = {
        "by hand, all at once": by_hand,
        "mika up": partial(by_mika, toml=EARLY),
        "mika up, nothing early": by_mika,
    }
    common.say("warming up (byte code, page cache)")
    for start in (by_hand, by_mika):
        cold_and_warm(start)
    cold: dict[str, list[float]] = {name: [] for name in variants}
    warm: dict[str, list[float]] = {name: [] for name in variants}
    for number in range(runs):
        names = list(variants)
        # Each takes each place in turn, so that what drifts (clock speed, other load) hits all alike.
        for name in names[number % len(names) :] + names[: number % len(names)]:
            one, two = cold_and_warm(variants[name])
            cold[name].append(one)
            warm[name].append(two)
            common.say(f"run {number + 1}/{runs}  {name:<26} {one:.2f} s, again {two:.2f} s")
    if seed:
        common.say(f"the seed's way, once: the server, {SEED_WAIT:.0f} s, then worker and API")
        with project() as place:
            cold["fixed wait of 60 s"] = [first_answer(place, partial(by_hand, wait=SEED_WAIT))]
    for title, taken in (("new database", cold), ("existing database", warm)):
        floor = taken["by hand, all at once"]
        rows = [[name, *common.spread(values), ratio(values, floor)] for name, values in taken.items()]
        if not seed:
            rest = statistics.median(floor)
            rows.append(["fixed wait of 60 s (computed)", f"> {SEED_WAIT:.0f}", "-", "-", f"> {SEED_WAIT / rest:.0f}"])
        headers = ["first answered message, s", "median", "min", "max", "median of ratios"]
        common.table(f"{title}, {runs} runs", headers, rows)


def ratio(values: list[float], floor: list[float]) -> str:
    if len(values) != len(floor):  # not in every run
        return f"{statistics.median(values) / statistics.median(floor):.2f}"
    return f"{statistics.median(value / other for value, other in zip(values, floor, strict=True)):.2f}"


# --- where the time goes ---------------------------------------------------------------------------------------------


def profile(runs: int) -> None:
    """Events of `mika up` on one time line that begins with the spawn of mika itself; median of the runs."""
    for title, toml in (("mika up", EARLY), ("mika up, nothing early", "")):
        events: dict[str, list[float]] = {}
        cpu: dict[str, list[float]] = {}
        for number in range(runs + 1):
            with project() as place:
                began = time.time()
                with by_mika(place, toml=toml):
                    until_answered(place)
                    answered = time.time()
                    used = {part: common.cpu_seconds(pids) for part, pids in common.mika_parts(place.mark).items()}
                lines = (place.folder / ".mika/logs/mika.log").read_text(encoding="utf-8").splitlines()
            if not number:
                continue  # warming up
            collect(events, began, [json.loads(line) for line in lines if line], answered)
            for part, seconds in used.items():
                cpu.setdefault(part, []).append(seconds)
        ordered = sorted(events.items(), key=lambda entry: statistics.median(entry[1]))
        rows = [[what, *common.spread([1000 * value for value in values], 0)] for what, values in ordered]
        common.table(f"{title}: ms after its spawn, new database", ["event", "median", "min", "max"], rows)
        rows = [[part, *common.spread(values)] for part, values in cpu.items()]
        common.table(f"{title}: processor seconds until then", ["part", "median", "min", "max"], rows)
    imports()


def collect(taken: dict[str, list[float]], began: float, events: list[dict[str, object]], answered: float) -> None:
    for event in events:
        kind, name = str(event["kind"]), str(event["name"])
        if kind in {"rung_reached", "started", "ready"}:
            what = f"{name}: {event['rung'] if kind == 'rung_reached' else kind}"
        elif kind == "stack" and event["state"] in {"starting", "ready"}:
            what = f"stack: {event['state']}"
        elif kind == "stack" and event["state"] == "stopping":
            break
        else:
            continue
        at = event["at"]
        assert isinstance(at, float)
        taken.setdefault(what, []).append(at - began)
    taken.setdefault("message answered", []).append(answered - began)


def imports() -> None:
    """The modules that `mika up` imports before it starts anything, by what each costs with all below it."""
    code = "import mika.cli.main, mika.cli.up, mika.backends.embedded"
    result = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code], capture_output=True, text=True, check=True
    )
    rows = []
    for line in result.stderr.splitlines():
        _, _, rest = line.partition("import time:")
        own, below, name = (part.rstrip() for part in rest.split("|", 2)) if "|" in rest else ("", "", "")
        if own.strip().isdigit() and int(below) >= 3000:
            rows.append((int(below), [name.strip(), f"{int(below) / 1000:.1f}", f"{int(own) / 1000:.1f}"]))
    rows.sort(key=lambda row: -row[0])
    common.table(
        "imports of `mika up`, 3 ms and more", ["module", "with all below, ms", "own, ms"], [r for _, r in rows]
    )


def main() -> int:
    """Print the tables. Exit code 1: a first message was not answered; 2: there is no engine, or no images."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--skip-seed", action="store_true", help="do not wait the 60 s of the seed's way")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--profile", action="store_true", help="show where the time of `mika up` goes")
    which.add_argument("--docker", action="store_true", help="with the services of the compose file in containers")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    print(common.machine())
    if options.docker:
        from benchmarks import docker_start  # needs what only the tests install

        return docker_start.compare(options.runs, seed=not options.skip_seed)
    if options.profile:
        profile(options.runs)
    else:
        compare(options.runs, seed=not options.skip_seed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
