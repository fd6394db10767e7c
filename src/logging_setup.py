"""JSON logs, one object per line on standard output, for structlog and for everything that uses `logging`."""

from __future__ import annotations

import logging
import sys
from urllib.parse import quote, unquote

import structlog
from mika.diagnosis.users import shorten

_PROBES = ("/healthz", "/readyz")
_OF_A_USER = "/history/"
# At INFO, these log whole URLs, which may contain a key.
_QUIET_LOGGERS = ("httpx", "httpx2", "httpcore", "httpcore2", "openai", "pymongo")


def configure_logging() -> None:
    """Take over the root logger and those of uvicorn. Call once, before the first line is logged."""
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                # Not dict_tracebacks: it adds the local variables, which contain messages and keys.
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    for name in _QUIET_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("uvicorn.access").addFilter(_tidy_access_line)
    logging.captureWarnings(capture=True)


def _tidy_access_line(record: logging.LogRecord) -> bool:
    """Remove what is nobody's business: the query string, which may contain the webhook's secret, and a user's id.

    Drop successful probes of a supervisor.
    """
    if isinstance(record.args, tuple) and len(record.args) == 5:
        client, method, target, version, status = record.args
        path = str(target).partition("?")[0]
        if path.startswith(_OF_A_USER):
            path = _OF_A_USER + quote(shorten(unquote(path.removeprefix(_OF_A_USER))))
        record.args = (client, method, path, version, status)
        return not (path in _PROBES and status == 200)
    return True
