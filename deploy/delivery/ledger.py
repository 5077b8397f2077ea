"""What became of each notification, on disk before and after each mail."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

State = Literal["intended", "sent", "failed"]

_TABLES = """
CREATE TABLE IF NOT EXISTS mail (
    key text PRIMARY KEY,
    state text NOT NULL CHECK (state IN ('intended', 'sent', 'failed')),
    why text,
    permanent integer NOT NULL DEFAULT 0,
    reported integer NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE IF NOT EXISTS withdrawn (key text PRIMARY KEY, position integer NOT NULL) STRICT;
"""


@dataclass(frozen=True, slots=True)
class Entry:
    state: State
    """`intended`: the mail's data may be on their way, or with the server."""
    why: str | None = None
    permanent: bool = False
    reported: bool = False


class Ledger:
    """A SQLite file; each change is on disk when its method returns."""

    def __init__(self, path: Path) -> None:
        self._file = sqlite3.connect(path, isolation_level=None)
        self._file.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; {_TABLES}")

    def close(self) -> None:
        self._file.close()

    def entry(self, key: str) -> Entry | None:
        row = self._file.execute("SELECT state, why, permanent, reported FROM mail WHERE key = ?", (key,)).fetchone()
        return None if row is None else Entry(row[0], row[1], bool(row[2]), bool(row[3]))

    def intend(self, key: str) -> None:
        self._put(key, Entry("intended"))

    def sent(self, key: str) -> None:
        self._put(key, Entry("sent"))

    def failed(self, key: str, why: str, *, permanent: bool) -> None:
        self._put(key, Entry("failed", why, permanent))

    def forget(self, key: str) -> None:
        """The mail was certainly not taken: it may be sent."""
        self._file.execute("DELETE FROM mail WHERE key = ?", (key,))

    def reported(self, key: str) -> None:
        self._file.execute("UPDATE mail SET reported = 1 WHERE key = ?", (key,))

    def withdraw(self, key: str, position: int) -> None:
        """What shows this cancellation key and is before that position of the log is needless."""
        self._file.execute(
            "INSERT INTO withdrawn VALUES (?, ?)"
            " ON CONFLICT (key) DO UPDATE SET position = max(position, excluded.position)",
            (key, position),
        )

    def withdrawn(self, key: str, position: int) -> bool:
        row = self._file.execute("SELECT 1 FROM withdrawn WHERE key = ? AND position > ?", (key, position)).fetchone()
        return row is not None

    def _put(self, key: str, entry: Entry) -> None:
        self._file.execute(
            "INSERT OR REPLACE INTO mail (key, state, why, permanent) VALUES (?, ?, ?, ?)",
            (key, entry.state, entry.why, entry.permanent),
        )
