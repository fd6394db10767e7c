"""The bot's settings. The environment overrides `.env` of the current folder. All times are in seconds."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from src.messages import SEND_PATIENCE

# These may contain credentials: an error message names the setting, but never shows its value.
_PRIVATE = {"mongodb_url", "llm_base_url", "llm_api_key", "langbot_api_base_url", "langbot_api_key", "webhook_secret"}
_PRIVATE |= {"onebot_api_url", "onebot_access_token", "onebot_secret"}
_PRIVATE |= {"n8n_basic_username", "n8n_basic_password", "n8n_header_name", "n8n_header_value", "n8n_jwt_secret"}
_PRIVATE |= {"history_key"}


_COMMAS = re.compile("[,\uff0c\u3001\uff1b]")
"""Also those of Chinese: the comma, the one of lists, and the semicolon."""


def _http_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be a URL that begins with http:// or https://")
    return value.rstrip("/")


def _mongodb_url(value: SecretStr) -> SecretStr:
    if not value.get_secret_value().startswith(("mongodb://", "mongodb+srv://")):
        raise ValueError("must begin with mongodb:// or mongodb+srv://")
    return value


def _list(value: object) -> object:
    """`a, b` as a tuple."""
    return tuple(part.strip() for part in _COMMAS.split(value) if part.strip()) if isinstance(value, str) else value


def _lower(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


def _header_value(value: SecretStr) -> SecretStr:
    """It is sent as an HTTP header, which would fail with each request."""
    text = value.get_secret_value().strip()
    if not (text.isascii() and text.isprintable()):
        raise ValueError("must be only the key, in ASCII characters")
    return SecretStr(text)


Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=10 * 365 * 86400, allow_inf_nan=False)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000)]
Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_list)]
Key = Annotated[SecretStr, AfterValidator(_header_value)]
HttpUrl = Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(_http_url)]


class Settings(BaseSettings):
    """An empty value counts as not set."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_file_encoding="utf-8-sig",  # Windows editors write a BOM at the start
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
    )

    temporal_host: Name = "127.0.0.1"
    temporal_port: Port = 7233
    temporal_namespace: Name = "default"
    temporal_task_queue: Name = "mika-bot-task-queue"
    # How long a starting worker waits for a server that is not up yet.
    temporal_connect_timeout: Seconds = 120

    workflow_execution_timeout: Seconds = 120
    workflow_run_timeout: Seconds = 60
    # For one *workflow task* (a step of workflow code), not for an activity. The server's upper limit is 120.
    workflow_task_timeout: Annotated[Seconds, Field(le=120)] = 30

    mongodb_url: Annotated[SecretStr, AfterValidator(_mongodb_url)] | None = None
    mongodb_database: Name = "mika_bot"
    mika_history_file: Path = Path(".mika/data/history.sqlite3")
    # Instead of the file `history.key` beside the history, for example where several machines share a MongoDB.
    history_key: Annotated[SecretStr, Field(min_length=16)] | None = None
    history_retention_days: Annotated[float, Field(gt=0, le=36500)] = 90

    llm_base_url: HttpUrl | None = None
    llm_api_key: Key | None = None
    llm_model: Name | None = None

    langbot_api_base_url: HttpUrl | None = None
    langbot_api_key: Key | None = None
    webhook_secret: SecretStr | None = None

    # Replies that the workflow sends, and messages that were not taken.
    langbot_send_patience: Annotated[Seconds, Field(le=7 * 86400)] = SEND_PATIENCE
    langbot_on_failure: Annotated[Literal["pipeline", "apology"], BeforeValidator(_lower)] = "pipeline"
    api_host: Name = "127.0.0.1"
    # Names of a tunnel or proxy in front of the API. `*.example.org` and `*` are possible.
    api_allowed_hosts: Names = ()

    # What the model is told beside the message.
    llm_prompt_file: Path = Path("prompts/mika.md")
    llm_history_tokens: Annotated[int, Field(ge=0, le=10_000_000)] = 4000

    # What is said in a chat.
    langbot_max_chars: Annotated[int, Field(ge=100, le=100_000)] = 2000  # of one message: a longer reply is split

    # When the bot speaks in a group.
    bot_names: Names = ("mika", "米卡")
    # The bot's own accounts (QQ numbers), for an @. LangBot is asked for them where it can be.
    bot_ids: Names = ()
    bot_answers_groups: Annotated[Literal["called", "all"], BeforeValidator(_lower)] = "called"
    langbot_allowed_groups: Names = ()
    # Messages in groups that are answered in a minute; 0: no limit.
    bot_user_rate_limit: Annotated[int, Field(ge=0)] = 20
    bot_group_rate_limit: Annotated[int, Field(ge=0)] = 50
    # For inlined images, which are kept for a day beside the history file.
    image_store_mb: Annotated[int, Field(ge=16, le=1_000_000)] = 512

    # OneBot v11 over HTTP. Without an address, the reply is the answer to the event.
    onebot_api_url: HttpUrl | None = None
    onebot_access_token: Key | None = None
    onebot_secret: SecretStr | None = None

    # How LangBot's n8n runner logs in; instead of WEBHOOK_SECRET.
    n8n_auth: Annotated[Literal["none", "basic", "header", "jwt"], BeforeValidator(_lower)] = "none"
    n8n_basic_username: SecretStr | None = None
    n8n_basic_password: SecretStr | None = None
    n8n_header_name: SecretStr | None = None
    n8n_header_value: SecretStr | None = None
    n8n_jwt_secret: SecretStr | None = None

    # Set by the worker's supervisor.
    mika_worker_identity: Name | None = None
    mika_beat_file: Path | None = None
    mika_hang_timeout: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 5

    @model_validator(mode="after")
    def _n8n_login_is_complete(self) -> Self:
        needed = {"basic": ("n8n_basic_username", "n8n_basic_password"), "jwt": ("n8n_jwt_secret",)}
        needed["header"] = ("n8n_header_name", "n8n_header_value")
        missing = [name.upper() for name in needed.get(self.n8n_auth, ()) if getattr(self, name) is None]
        if missing:
            raise ValueError(f"N8N_AUTH={self.n8n_auth} needs {' and '.join(missing)}")
        return self

    @property
    def temporal_address(self) -> str:
        host = f"[{self.temporal_host}]" if ":" in self.temporal_host else self.temporal_host
        return f"{host}:{self.temporal_port}"


def load_settings_or_exit() -> Settings:
    """The settings. With bad values, exits with status 2 after one line for each: where, what, and how to fix it."""
    try:
        return Settings()
    except ValidationError as error:
        reasons = [_describe(item) for item in error.errors()]
    except UnicodeDecodeError as error:
        reasons = [f".env: it is not UTF-8 text ({error}); save it as UTF-8"]
    except OSError as error:
        reasons = [f".env: it cannot be read: {error}"]
    for reason in reasons:
        print(f"mika: configuration: {reason}", file=sys.stderr)
    raise SystemExit(2)


def _describe(error: ErrorDetails) -> str:
    if not error["loc"]:  # of several settings together: their values are not shown
        return f"{error['msg'].removeprefix('Value error, ')}; set it in .env or in the environment"
    name = str(error["loc"][0])
    if error["type"] in ("string_too_short", "too_short"):
        text = f"must have at least {error['ctx']['min_length']} characters"
    else:
        text = error["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    got = "" if name.lower() in _PRIVATE else f", got {str(error['input'])[:80]!r}"
    return f"{_origin(name.upper())}: {name.upper()} {text}{got}; correct it there, then start the bot again"


def _origin(name: str) -> str:
    """The file or `the environment`. What mika has read from the file is in the environment, too."""
    written = dotenv_values(".env", encoding="utf-8-sig", interpolate=False).get(name)
    return ".env" if written is not None and os.environ.get(name, written) == written else "the environment"
