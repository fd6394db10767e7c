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
from mika.wording import _

_TIMEOUT = 15.0
_CONNECT_TIMEOUT = 3.0
_PORTS = {"http": 80, "https": 443}


async def llm(exam: Examination) -> Check | None:
    """The call costs money and takes seconds, so it is made only when asked for."""
    url = exam.config.text("LLM_BASE_URL").rstrip("/")
    if not url:
        text = _("LLM_BASE_URL is not set: the bot answers offline")
        return skipped("llm", text) if exam.llm or await exam.is_bot() else None
    parts, proxies = urlsplit(url), http.proxies_of(exam.config.child_env())  # the bot's environment
    proxy = await in_thread(lambda: http.proxy_for(parts, proxies))  # it may look this machine's name up
    target = proxy or parts
    host = address.join(parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 443))
    if not exam.llm:
        way = _way(http.without_login(proxy)) if proxy else ""
        reason = await _why_unreachable(target.hostname or "", target.port or _PORTS.get(target.scheme, 80))
        if reason:
            return fail("llm", _unreachable(host, way, reason), _look(is_proxy=proxy is not None))
        text = _("{host} can be reached{way}; `mika doctor --llm` makes one cheap call", host=host, way=way)
        return skipped("llm", text)
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
        return _("no connection within {seconds:g} s", seconds=_CONNECT_TIMEOUT)
    except OSError as error:
        return http.short_reason(error)
    return ""


def _look(*, is_proxy: bool) -> str:
    if is_proxy:
        return _("check the proxy (http_proxy, https_proxy, no_proxy) and LLM_BASE_URL")
    return _("check the network and LLM_BASE_URL")


def _way(proxy: str) -> str:
    return _(" (through the proxy {proxy})", proxy=proxy)


def _unreachable(host: str, way: str, reason: str) -> str:
    return _("{host} cannot be reached{way}: {reason}", host=host, way=way, reason=reason)


def _judge(answer: http.Answer, host: str, model: str, took: float) -> Check:
    way, look = _way(answer.proxy) if answer.proxy else "", _look(is_proxy=bool(answer.proxy))
    match answer.kind:
        case "silent":
            text = _("{host} did not answer within {seconds:g} s{way}", host=host, seconds=_TIMEOUT, way=way)
            return fail("llm", text, _("{look}; try again later", look=look))
        case "refused" | "foreign":
            return fail("llm", _unreachable(host, way, answer.reason), look)
    if answer.status == 200:
        if isinstance(answer.json.get("choices"), list):
            return ok(
                "llm", _("{model} at {host} answers, after {seconds:.1f} s", model=model, host=host, seconds=took)
            )
        kind = answer.headers.get("content-type", "?").partition(";")[0]
        text = _("{host} answers 200, but not in OpenAI's format ({kind}){way}", host=host, kind=kind, way=way)
        return fail("llm", text, _("check LLM_BASE_URL: does it end with /v1?"))
    status = f"{answer.status} {answer.reason}".rstrip()
    return fail("llm", _("{host} answers {status}{way}", host=host, status=status, way=way), _fix(answer, look))


def _fix(answer: http.Answer, look: str) -> str:
    """What to do about a status that is an error."""
    if answer.status >= 500:
        if answer.proxy:
            return _("{look}; else it is the server's own fault: try again later", look=look)
        return _("it is the server's own fault: try again later")
    retry = answer.headers.get("retry-after", "")
    return {
        401: _("check LLM_API_KEY"),
        403: _("check LLM_API_KEY and what it may do"),
        404: _("check LLM_BASE_URL (does it end with /v1?) and LLM_MODEL"),
        407: _("the proxy wants a user name and a password: http://USER:PASSWORD@HOST:PORT in http_proxy"),
        429: _("too many requests: wait {time} s, or check the account's limit and credit", time=retry)
        if retry
        else _("too many requests: wait, or check the account's limit and credit"),
    }.get(answer.status, _("its answer says what is wrong with the request"))
