"""The log on PostgreSQL: append, read, receipts."""

from shared.log.appending import (
    Append,
    Appended,
    Head,
    KeyReused,
    LogUnavailable,
    Outcome,
    Pending,
    Written,
    WrongVersion,
)
from shared.log.log import Log

__all__ = [
    "Append",
    "Appended",
    "Head",
    "KeyReused",
    "Log",
    "LogUnavailable",
    "Outcome",
    "Pending",
    "Written",
    "WrongVersion",
]
