"""The log on PostgreSQL: append, read, receipts, refusals."""

from shared.log.appending import (
    Append,
    Appended,
    Head,
    KeptRefusal,
    KeyReused,
    Known,
    LogUnavailable,
    OtherEra,
    Outcome,
    Pending,
    RefusedBefore,
    Written,
    WrongVersion,
)
from shared.log.log import Log

__all__ = [
    "Append",
    "Appended",
    "Head",
    "KeptRefusal",
    "KeyReused",
    "Known",
    "Log",
    "LogUnavailable",
    "OtherEra",
    "Outcome",
    "Pending",
    "RefusedBefore",
    "Written",
    "WrongVersion",
]
