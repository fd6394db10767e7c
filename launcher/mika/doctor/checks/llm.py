"""Check of the language model: a TCP connection always, and one cheap call only when asked for."""

from __future__ import annotations

import asyncio
import socket
import time
from urllib.parse import urlsplit

from mika import address
from mika.doctor.check import Check, fail, ok, skipped
from mika.doctor.examination import Examination
from mika.machine import http
from mika.machine.local import in_thread

_TIMEOUT = 15.0
_CONNECT_TIMEOUT = 3.0
_PORTS = {"http": 80, "https": 443}


async def llm(exam: Examination) -> Check | None:
    """The call costs money and takes seconds, so it is made only when asked for."""
    url = exam.config.text("LLM_BASE_URL").rstrip("/")
    if not url:
        text = "LLM_BASE_URL is not set: the bot answers offline"
        return skipped("llm", text) if exam.llm or await exam.is_bot() else None
    parts, proxies = urlsplit(url), http.proxies_of(exam.config.child_env())  # the bot's environment
    proxy = await in_thread(lambda: http.proxy_for(parts, proxies))  # it may look this machine's name up
    target = proxy or parts
    host = address.join(parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 443))
    if not exam.llm:
        way = f" (through the proxy {http.without_login(proxy)})" if proxy else ""
        reason = await _why_unreachable(target.hostname or "", target.port or _PORTS.get(target.scheme, 80))
        if reason:
            return fail("llm", f"{host} cannot be reached{way}: {reason}", _look(is_proxy=proxy is not None))
        return skipped("llm", f"{host} can be reached{way}; `mika doctor --llm` makes one cheap call")
    key, model = exam.config.text("LLM_API_KEY"), exam.config.text("LLM_MODEL") or "default"
    began = time.monotonic()
    answer = await http.request_async(
        "POST",
        f"{url}/chat/completions",
        payload={"model": model, "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}]},
        headers={"Authorization": f"Bearer {key or 'none'}"},
        proxies=proxies,
        timeout=_TIMEOUT,
    )
    return _judge(answer, host, model, time.monotonic() - began)


async def _why_unreachable(host: str, port: int) -> str:
    """Empty if a connection can be made."""
    try:
        async with asyncio.timeout(_CONNECT_TIMEOUT):
            await in_thread(lambda: socket.create_connection((host, port), _CONNECT_TIMEOUT).close())
    except TimeoutError:
        return f"no connection within {_CONNECT_TIMEOUT:g} s"
    except OSError as error:
        return http.short_reason(error)
    return ""


def _look(*, is_proxy: bool) -> str:
    where = "the proxy (http_proxy, https_proxy, no_proxy)" if is_proxy else "the network"
    return f"check {where} and LLM_BASE_URL"


def _judge(answer: http.Answer, host: str, model: str, took: float) -> Check:
    way, look = f" (through the proxy {answer.proxy})" if answer.proxy else "", _look(is_proxy=bool(answer.proxy))
    match answer.kind:
        case "silent":
            text = f"{host} did not answer within {_TIMEOUT:g} s{way}"
            return fail("llm", text, f"{look}; try again later")
        case "refused" | "foreign":
            return fail("llm", f"{host} cannot be reached{way}: {answer.reason}", look)
    status, retry = answer.status, answer.headers.get("retry-after", "")
    if status == 200:
        if isinstance(answer.json.get("choices"), list):
            return ok("llm", f"{model} at {host} answers, after {took:.1f} s")
        kind = answer.headers.get("content-type", "?").partition(";")[0]
        text = f"{host} answers 200, but not in OpenAI's format ({kind}){way}"
        return fail("llm", text, "check LLM_BASE_URL: does it end with /v1?")
    fixes = {
        401: "check LLM_API_KEY",
        403: "check LLM_API_KEY and what it may do",
        404: "check LLM_BASE_URL (does it end with /v1?) and LLM_MODEL",
        407: "the proxy wants a user name and a password: http://USER:PASSWORD@HOST:PORT in http_proxy",
        429: f"too many requests: wait{f' {retry} s' if retry else ''}, or check the account's limit and credit",
    }
    fix = fixes.get(status, "see what it says about the request")
    if status >= 500:
        fault = "it is the server's own fault: try again later"
        fix = f"{look}; else {fault}" if answer.proxy else fault
    return fail("llm", f"{host} answers {status} {answer.reason}".rstrip() + way, fix)
