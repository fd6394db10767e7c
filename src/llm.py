"""Asks a language model, and decides which failures are worth a retry.

Temporal retries; the client does not: https://docs.temporal.io/ai-cookbook uses `max_retries=0` for the same reason.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from src.outside import is_on_this_machine, retry_after, storable, through_proxy
from src.prompt import SystemPrompt, newest_that_fit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from openai import APIStatusError
    from openai.types.chat import ChatCompletionContentPartParam, ChatCompletionMessageParam

    from src.config import Settings
    from src.messages import Turn

_HINTS = {
    401: "check LLM_API_KEY",
    403: "check LLM_API_KEY and its permissions",
    404: "check LLM_BASE_URL (does it end with /v1?) and LLM_MODEL",
    413: "the conversation is too long for this model",
}
_REFUSES_IMAGES = {400, 404, 413, 415, 422, 500}


class LlmError(Exception):
    """No answer from the model. `retry_after` is in seconds; None if the provider did not give a time."""

    def __init__(self, message: str, *, retryable: bool, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.retry_after = retry_after


class LlmTimeoutError(LlmError):
    """The model did not answer in time."""


class Llm(Protocol):
    """Something that answers messages."""

    async def answer(self, message: str, history: Sequence[Turn], *, timeout: float, images: Sequence[str] = ()) -> str:
        """Raises `LlmError`, after `timeout` seconds at the latest. `images` are addresses or `data:` URLs."""
        ...

    async def close(self) -> None: ...


def make_llm(settings: Settings) -> Llm:
    """The model at `LLM_BASE_URL`, or the offline reply if that is not set."""
    if settings.llm_base_url is None:
        return OfflineLlm()
    key = settings.llm_api_key.get_secret_value() if settings.llm_api_key else ""
    prompt = SystemPrompt(settings.llm_prompt_file)
    return OpenAiLlm(settings.llm_base_url, key, settings.llm_model or "default", prompt, settings.llm_history_tokens)


class OfflineLlm:
    """Makes the first run work without an account. Never pretends to be a model."""

    async def answer(
        self,
        message: str,
        history: Sequence[Turn],
        *,
        timeout: float,  # noqa: ARG002 - the protocol's
        images: Sequence[str] = (),  # noqa: ARG002 - the message says that there are some
    ) -> str:
        return (
            "I am offline: LLM_BASE_URL is not set, so no language model was asked. "
            f"I understood: {message[:1000]} (earlier turns that I remember: {len(history)})"
        )

    async def close(self) -> None:
        pass


class OpenAiLlm:
    """Any API that speaks OpenAI's chat completions."""

    def __init__(self, base_url: str, api_key: str, model: str, prompt: SystemPrompt, history_tokens: int) -> None:
        # Here, since it takes half a second, spent only if a model is configured.
        from openai import AsyncOpenAI, DefaultAsyncHttpxClient  # noqa: PLC0415

        self._url = base_url
        self._host = urlsplit(base_url).hostname or "?"
        self._key = api_key
        self._model = model
        self._prompt = prompt
        self._history_tokens = history_tokens
        # Local servers need no key, but the client requires one.
        http = DefaultAsyncHttpxClient(trust_env=not is_on_this_machine(base_url))  # the environment names proxies
        self._client = AsyncOpenAI(base_url=base_url, api_key=api_key or "none", max_retries=0, http_client=http)

    async def answer(self, message: str, history: Sequence[Turn], *, timeout: float, images: Sequence[str] = ()) -> str:
        import openai  # noqa: PLC0415 - already loaded by the constructor

        prompt: list[ChatCompletionMessageParam] = [{"role": "system", "content": self._prompt.text()}]
        for turn in newest_that_fit(history, self._history_tokens):
            prompt.append({"role": "user", "content": turn.message})
            prompt.append({"role": "assistant", "content": turn.reply})
        prompt.append({"role": "user", "content": _with_images(message, images)})
        try:
            # The client's own timeout is for each read: a model that sends a byte now and then would never reach it.
            async with asyncio.timeout(timeout):
                completion: object = await self._client.chat.completions.create(
                    model=self._model, messages=prompt, timeout=timeout
                )
        except openai.APIStatusError as error:
            raise self._status_error(error, has_images=bool(images)) from None
        except (openai.APITimeoutError, TimeoutError):
            raise LlmTimeoutError(
                f"the LLM at {self._host} did not answer within {timeout:.3g} s", retryable=True
            ) from None
        except openai.APIConnectionError as error:
            raise LlmError(
                f"the LLM at {self._host} cannot be reached{through_proxy(self._url)}: {error.__cause__ or error}",
                retryable=True,
            ) from None
        except (openai.OpenAIError, ValueError, RecursionError) as error:
            raise self._format_error(type(error).__name__) from None
        return self._text(completion)

    async def close(self) -> None:
        await self._client.close()

    def _text(self, completion: object) -> str:
        # For a 200 with HTML (a web page, a proxy), the client returns a plain str instead of raising an exception.
        choices = getattr(completion, "choices", None)
        if not isinstance(choices, list):
            raise self._format_error("no `choices`")
        content = getattr(choices[0].message, "content", None) if choices and choices[0].message else None
        if not isinstance(content, str) or not content.strip():
            # Models do this now and then; the next attempt usually works.
            raise LlmError(f"the LLM at {self._host} answered with an empty message", retryable=True)
        return storable(content)

    def _format_error(self, problem: str) -> LlmError:
        # Not retryable: a wrong address stays wrong, and the user would wait a minute for the error.
        return LlmError(
            f"the LLM at {self._host} answered 200, but not in OpenAI's format ({problem}): {_HINTS[404]}",
            retryable=False,
        )

    def _status_error(self, error: APIStatusError, *, has_images: bool) -> LlmError:
        status = error.status_code
        reason = error.message if status not in {401, 403} else ""  # here, providers repeat parts of the key
        if self._key:
            reason = reason.replace(self._key, "***")
        text = f"the LLM at {self._host} answered {status}"
        if hint := _HINTS.get(status):
            text += f" ({hint})"
        if has_images and status in _REFUSES_IMAGES:
            text += " (the message has an image: can LLM_MODEL see?)"
        if reason:
            text += f": {' '.join(reason.split())[:200]}"
        is_exhausted = error.code == "insufficient_quota" or error.type == "insufficient_quota"
        if is_exhausted:
            text += " (the account has no credit left)"
        return LlmError(
            text,
            retryable=not is_exhausted and _is_retryable(status, error.response.headers),
            retry_after=retry_after(error.response.headers),
        )


def _with_images(message: str, images: Sequence[str]) -> str | list[ChatCompletionContentPartParam]:
    if not images:
        return message
    shown: list[ChatCompletionContentPartParam] = [{"type": "image_url", "image_url": {"url": url}} for url in images]
    return [{"type": "text", "text": message}, *shown]


def _is_retryable(status: int, headers: Mapping[str, str]) -> bool:
    match headers.get("x-should-retry", "").lower():
        case "true":
            return True
        case "false":
            return False
    return status in {408, 409, 429} or status >= 500
