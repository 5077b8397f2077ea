"""Logs: one JSON object per line, or coloured text on a terminal; third-party libraries speak through the same pipe."""

from __future__ import annotations

import logging
import sys
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import Processor

QUIET = {
    # Their own lines repeat what Kithlog's say, or come once per message or request.
    "uvicorn.access": logging.WARNING,
    "aio_pika": logging.WARNING,
    "aiormq": logging.CRITICAL,  # logs a traceback for each refused connection, which is then raised as well
    "httpx": logging.WARNING,
}


def configure_logging(
    level: str = "info",
    format: Literal["auto", "json", "console"] = "auto",
    stream: TextIO | None = None,
    *,
    service: str | None = None,
) -> None:
    """Set up structlog and the standard library's logging for this process, whose lines name `service`. Calling again
    replaces the set-up."""
    stream = stream or sys.stdout
    json = format == "json" or (format == "auto" and not stream.isatty())
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if service is not None:
        shared.append(lambda logger, method, line: {**line, "service": service})
    # Tracebacks without local variables: they may hold passwords and personal data.
    renderer: Processor
    if json:
        shared.append(structlog.processors.ExceptionRenderer(_traceback()))
        renderer = structlog.processors.JSONRenderer(default=str)
    else:
        renderer = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=False,  # loggers are made at import, before this is called
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared[:-1], structlog.stdlib.add_logger_name, shared[-1]],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(number)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        theirs = logging.getLogger(name)
        theirs.handlers, theirs.propagate = [], True
    for name, least in QUIET.items():
        logging.getLogger(name).setLevel(max(least, number))


def _traceback() -> Any:
    return structlog.tracebacks.ExceptionDictTransformer(show_locals=False, max_frames=20)
