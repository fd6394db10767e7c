"""Checks of the bot's API and of what it depends on: the store of conversations, the language model."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mika.address import is_loopback, join
from mika.doctor.check import Check, skipped
from mika.doctor.checks.docker import because_of_docker
from mika.doctor.checks.project import unit_down
from mika.doctor.checks.server import needs_server
from mika.doctor.examination import Examination
from mika.machine import http
from mika.machine.local import in_thread, is_writable
from mika.machine.ports import Listener, quote_path
from mika.readiness import mongodb
from mika.reason import Repair
from mika.status import Phase, UnitStatus

_LLM_TIMEOUT = 15.0
_MOST_ASKED = 10


async def api(x: Examination) -> Check:
    """It answers, it is this project's, and it reaches what it needs."""
    supervised = await x.processes("api")
    for process in supervised:
        if process.is_at_rest or process.phase is Phase.BACKOFF:
            return unit_down("api", process)
    health = await x.health()
    port = x.config.port("API_PORT")
    if health.kind == "refused":
        return await _nobody(x, supervised, port)
    owner = (await x.listeners()).get(port)
    who = f" ({owner})" if owner and owner.pid else ""
    restart = f"`mika restart {supervised[0].name}`" if supervised else f"end it{_kill(owner)} and start it again"
    if health.kind == "silent":
        repair = Repair("restart", supervised[0].name) if supervised else None
        return Check(
            "api",
            "fail",
            f"the API at {x.config.api_url}{who} accepts a connection and does not answer",
            restart,
            repair=repair,
        )
    if health.kind == "foreign" or health.status != 200:
        if not supervised and x.types("api"):
            return skipped("api", "ports", f"another program has its port {port}")
        if not x.types("api"):
            return skipped("api", "", "there is no API in the Procfile")
        answered = f"answers {health.status}" if health.kind == "http" else f"does not answer: {health.reason}"
        return Check("api", "fail", f"{x.health_url} {answered}", f"{restart}; `mika logs api` says more")
    stranger = _stranger(x, owner)
    if stranger is not None:
        end = f"`mika -C {quote_path(owner.stack)} down`" if owner and owner.stack else f"end it{_kill(owner)}"
        return Check(
            "api",
            "warn",
            f"the API on port {port}{who} runs from another folder: {stranger}",
            f"{end} and `mika up` here, or give this project another API_PORT",
        )
    return await _dependencies(x, restart)


async def _dependencies(x: Examination, restart: str) -> Check:
    """Whether the API sees the same Temporal and the same queue as this configuration names."""
    temporal, worker = await x.dependency("temporal"), await x.dependency("worker")
    is_unavailable = temporal.get("state") == "unavailable"
    # Somebody else's API does not say these; then nothing is known.
    namespace, queue = temporal.get("namespace", x.namespace), worker.get("queue", x.queue)
    if (is_unavailable or namespace != x.namespace) and (skip := await needs_server(x, "api")):
        return skipped("api", skip.because, f"{x.config.api_url} answers, but {skip.finding}")
    if namespace != x.namespace:
        return Check(
            "api",
            "fail",
            f"the API uses the namespace {namespace}, and TEMPORAL_NAMESPACE is {x.namespace} here"[:300],
            f"{restart} with TEMPORAL_NAMESPACE={x.namespace}",
        )
    if is_unavailable:
        return await _cannot_use_temporal(x, temporal, restart)
    if queue != x.queue:
        return Check(
            "api",
            "fail",
            f"the API puts messages into {queue}, and TEMPORAL_TASK_QUEUE is {x.queue} here"[:300],
            f"{restart} with TEMPORAL_TASK_QUEUE={x.queue}",
        )
    return Check("api", "ok", x.config.api_url)


async def _cannot_use_temporal(x: Examination, temporal: dict[str, Any], restart: str) -> Check:
    """Although the doctor can, with the settings that it has."""
    up_at = (await x.server()).address
    address = temporal.get("address", "an unknown address")
    finding = f"the API cannot use Temporal at {address} ({temporal.get('detail')}), which is up at {up_at}"[:300]
    if skip := await because_of_docker(x, "api", finding):
        return skip
    if address == up_at:
        return Check("api", "fail", finding, f"{restart}; `mika logs api` says more")
    fix = f"{restart} with TEMPORAL_HOST={x.host} and TEMPORAL_PORT={x.port}"
    return Check("api", "fail", finding, fix)


async def _nobody(x: Examination, supervised: Sequence[UnitStatus], port: int) -> Check:
    if not x.types("api"):
        return skipped("api", "", "there is no API in the Procfile")
    if supervised:
        return unit_down("api", supervised[0])
    # A server that runs in this project's folder, and answers as the bot's API does.
    ours = [
        one
        for one in (await x.listeners()).values()
        if one.port != port and one.cwd == x.config.project and not one.name.startswith("temporal")
    ]
    answers = await asyncio.gather(
        *(http.get(f"http://127.0.0.1:{one.port}/healthz", 1.0) for one in ours[:_MOST_ASKED])
    )
    for one, answer in zip(ours, answers, strict=False):
        if answer.status == 200 and answer.json.get("status") == "ok":
            return Check(
                "api",
                "fail",
                f"the API listens on port {one.port} ({one}), and API_PORT is {port}",
                f"set API_PORT={one.port} in .env, or start it with `--port {port}`",
            )
    if await x.status() is None and x.wants_temporal and not (await x.server()).up:
        told = "the stack is not up"
        return await because_of_docker(x, "api", told) or skipped("api", "temporal", told)
    command = next((e.command for e in x.entries() if e.name in x.types("api")), "")
    return Check("api", "fail", f"nothing listens at {x.config.api_url}", f"`mika up`, or by hand: `{command}`")


def _stranger(x: Examination, owner: Listener | None) -> Path | None:
    """The folder in which it runs, when that is another one than this project. A container's port is docker's."""
    if owner is None or owner.cwd is None or "docker" in owner.name or not is_loopback(x.config.text("API_HOST")):
        return None
    folders = {x.config.project}
    for name in x.types("api"):
        folders.add((x.config.project / (x.config.process(name).cwd or ".")).resolve())
    return None if owner.cwd in folders else owner.cwd


def _kill(owner: Listener | None) -> str:
    return f" (`kill {owner.pid}`)" if owner and owner.pid else ""


# --- the store of conversations ---------------------------------------------------------------------------------------


async def history(x: Examination) -> Check:
    url = x.config.text("MONGODB_URL")
    if url:
        return await _mongodb(x, url)
    if x.backend == "docker":
        return await _container(x)
    file = Path(x.bot_environment("MIKA_HISTORY_FILE") or ".mika/data/history.sqlite3")
    file = file if file.is_absolute() else x.config.project / file
    check = await in_thread(lambda: _sqlite(file))
    store = await x.dependency("history") if check.status == "ok" else {}
    if store.get("state") == "unavailable":
        return Check(
            "history",
            "fail",
            f"the API cannot use its store: {store.get('detail')}"[:300],
            "fix what it says; `mika logs api` has more",
        )
    return check


async def _container(x: Examination) -> Check:
    """The MongoDB of the compose file: the API knows its address."""
    store = await x.dependency("history")
    if "state" not in store:
        finding = "MongoDB in its container; the API, which uses it, does not answer"
        return await because_of_docker(x, "history", finding) or skipped("history", "", finding)
    detail = str(store.get("detail", ""))[:300]
    if store["state"] == "ready":
        return Check("history", "ok", detail)
    fix = "`mika logs mongodb` says why; `mika restart mongodb`" if await x.status() else "`mika up`"
    skip = await because_of_docker(x, "history", detail)
    return skip or Check("history", "fail", f"the API cannot use its store: {detail}"[:300], fix)


async def _mongodb(x: Examination, url: str) -> Check:
    """Whether the server answers. Whether it takes the bot's user, the API knows, and all where it takes a driver."""
    try:
        server = mongodb.address_of(url)
    except ValueError as error:
        return Check("history", "fail", f"MONGODB_URL cannot be read: {error}", "correct MONGODB_URL")
    answers = "MongoDB is not asked from here (MONGODB_URL has several servers, mongodb+srv, TLS or a socket file)"
    if server is not None:
        answers = f"MongoDB at {join(*server)} answers"
        if reason := await mongodb.why_silent(*server):
            finding = f"MongoDB at {join(*server)} does not answer ({reason})"
            fix = "`mika up`" if x.backend == "docker" else "start it, or correct MONGODB_URL"
            skip = await because_of_docker(x, "history", finding)
            return skip or Check("history", "fail", finding, f"{fix} (without MONGODB_URL a file is used)")
    store = await x.dependency("history")
    detail = str(store.get("detail", ""))
    if not store:
        finding = f"{answers}; the login was not checked, since the API does not answer"
        return Check("history", "ok", finding) if server is not None else skipped("history", "", finding)
    if store.get("kind", "mongodb") != "mongodb":
        fix = "start the bot again, with MONGODB_URL as it is now: `mika down`, then `mika up`"
        return Check("history", "warn", f"{answers}; the API does not use it: {detail}"[:300], fix)
    if store.get("state") == "ready":
        return Check("history", "ok", f"{answers}; the API uses {detail}")
    finding = f"{answers}; the API cannot use it: {detail}"[:300]
    fix = "`mika logs api` says more"
    if store.get("error") == "denied":
        fix = f"correct user, password and authSource in MONGODB_URL; {fix}"
    return await because_of_docker(x, "history", finding) or Check("history", "fail", finding, fix)


def _sqlite(file: Path) -> Check:
    shown = f"SQLite file {file}"
    if not file.exists():
        if is_writable(file.parent):
            return Check("history", "ok", f"{shown} (made with the first message)")
        return Check(
            "history",
            "fail",
            f"{file.parent} cannot be written",
            f"give yourself the right: `chmod u+rwx {file.parent}`",
        )
    try:
        # mode=rw: looking must not create it.
        with contextlib.closing(sqlite3.connect(f"{file.as_uri()}?mode=rw", uri=True, timeout=1.0)) as database:
            database.execute("BEGIN IMMEDIATE")
            database.execute("SELECT count(*) FROM sqlite_master").fetchone()
            database.rollback()
    except sqlite3.Error as error:
        return Check("history", "fail", f"{shown}: {error}", _sqlite_fix(file, str(error)))
    return Check("history", "ok", shown)


def _sqlite_fix(file: Path, error: str) -> str:
    if "readonly" in error:
        return f"make it writable: `chmod u+w {file}`"
    if "locked" in error:
        return "another program holds it: close that (a database viewer?), or `mika restart worker api`"
    return f"move it away (`mv {file} {file}.broken`) and `mika restart worker api`: a new one is made"


# --- the language model -----------------------------------------------------------------------------------------------


async def llm(x: Examination) -> Check:
    """One cheap call, only when asked for: it costs money and takes seconds."""
    url = x.config.text("LLM_BASE_URL").rstrip("/")
    if not url:
        return skipped("llm", "", "LLM_BASE_URL is not set: the bot answers offline")
    host = urlsplit(url).netloc.rpartition("@")[2]
    if not x.llm:
        return skipped("llm", "", f"{host} was not asked: `mika doctor --llm` makes one cheap call")
    key, model = x.config.text("LLM_API_KEY"), x.config.text("LLM_MODEL") or "default"
    began = time.monotonic()
    answer = await http.request_async(
        "POST",
        f"{url}/chat/completions",
        payload={"model": model, "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}]},
        headers={"Authorization": f"Bearer {key or 'none'}"},
        proxies=http.proxies_of(x.config.child_env()),  # the bot's environment
        timeout=_LLM_TIMEOUT,
    )
    return _judge_llm(answer, host, model, time.monotonic() - began)


def _judge_llm(answer: http.Answer, host: str, model: str, took: float) -> Check:
    way = f" (through the proxy {answer.proxy})" if answer.proxy else ""
    look = "check the proxy (http_proxy, https_proxy, no_proxy) and" if answer.proxy else "check the network and"
    match answer.kind:
        case "silent":
            finding, fix = f"{host} did not answer within {_LLM_TIMEOUT:g} s", f"{look} LLM_BASE_URL; try again later"
            return Check("llm", "fail", f"{finding}{way}", fix)
        case "refused" | "foreign":
            finding = f"{host} cannot be reached{way}: {answer.reason}"
            return Check("llm", "fail", finding[:300], f"{look} LLM_BASE_URL")
    status, retry = answer.status, answer.headers.get("retry-after", "")
    if status == 200:
        if isinstance(answer.json.get("choices"), list):
            return Check("llm", "ok", f"{model} at {host} answers, after {took:.1f} s")
        kind = answer.headers.get("content-type", "?").partition(";")[0]
        return Check(
            "llm",
            "fail",
            f"{host} answers 200, but not in OpenAI's format ({kind}){way}",
            "check LLM_BASE_URL: does it end with /v1?",
        )
    fixes = {
        401: "check LLM_API_KEY",
        403: "check LLM_API_KEY and what it may do",
        404: "check LLM_BASE_URL (does it end with /v1?) and LLM_MODEL",
        407: "the proxy wants a user name and a password: http://USER:PASSWORD@HOST:PORT in http_proxy",
        429: f"too many requests: wait{f' {retry} s' if retry else ''}, or check the account's limit and credit",
    }
    fix = fixes.get(status, "its own fault: try again later" if status >= 500 else "see what it says of the request")
    if status >= 500 and answer.proxy:
        fix = f"{look} LLM_BASE_URL; else it is the server's own fault: try again later"
    return Check("llm", "fail", f"{host} answers {status} {answer.reason}".rstrip() + way, fix)
