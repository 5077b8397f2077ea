"""What keeps PostgreSQL from working for the log until somebody mends it: to callers it is an outage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
import structlog

from shared.database.pool import unfit
from shared.log.appending import LogUnavailable

logger = structlog.get_logger(__name__)


@contextmanager
def unfit_told_as_unavailable() -> Iterator[None]:
    """Turns what is `unfit` into `LogUnavailable`, at once: whether it is mended, callers ask by repeating.

    Nothing else tells operators of it.
    """
    try:
        yield
    except asyncpg.PostgresError as error:
        if (lacking := unfit(error)) is None:
            raise
        logger.error("postgresql does not let the log work", lacking=lacking, error=repr(error))
        raise LogUnavailable(f"PostgreSQL does not let the log work: {error!r}") from error
