"""Makes the history store that the settings ask for."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from src.history.keys import KeyFile
from src.history.sqlite import SqliteHistory

if TYPE_CHECKING:
    from src.config import Settings
    from src.history.base import History


def make_history(settings: Settings) -> History:
    """MongoDB if `MONGODB_URL` is set, or else the SQLite file. Needs a running event loop. Does not connect yet."""
    file = settings.mika_history_file
    given = settings.history_key.get_secret_value() if settings.history_key else None
    key, retention = KeyFile(file.with_suffix(".key"), given), timedelta(days=settings.history_retention_days)
    # A mark outlives whatever may still send its reply: the run of the message, and the workflow that tries on.
    sent_by = timedelta(seconds=settings.workflow_execution_timeout + settings.langbot_send_patience)
    marks = sent_by + timedelta(days=1)
    if settings.mongodb_url is None:
        return SqliteHistory(file, key, retention, marks)
    from src.history.mongo import MongoHistory  # noqa: PLC0415 - takes 0.2 s, which a start without MongoDB need not spend

    return MongoHistory(settings.mongodb_url.get_secret_value(), settings.mongodb_database, key, retention, marks)
