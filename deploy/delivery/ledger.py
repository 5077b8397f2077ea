"""What became of each notification, on disk at every step."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from deploy.delivery.notification import Notification
from shared.client import Unavailable

KEPT = timedelta(weeks=6)
"""How long after it has expired it is known here what became of a notification."""
State = Literal["waiting", "intended", "sent", "failed", "withdrawn"]
"""`intended`: the mail's data may be on their way, or with the server."""

_TABLES = """
CREATE TABLE IF NOT EXISTS notification (
    key text PRIMARY KEY,
    content text NOT NULL,
    epoch integer NOT NULL,
    position integer NOT NULL,
    cancellation_key text NOT NULL,
    mail text NOT NULL,
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'intended', 'sent', 'failed', 'withdrawn')),
    ready_at real NOT NULL, -- when it may be tried; of what was sent or failed: its report
    attempts integer NOT NULL DEFAULT 0,
    why text,
    permanent integer NOT NULL DEFAULT 0,
    reported integer NOT NULL DEFAULT 0,
    in_vain integer NOT NULL DEFAULT 0 -- how often, one after the other, something was away for it, mail or report
) STRICT;
CREATE INDEX IF NOT EXISTS notification_open ON notification (ready_at) WHERE state IN ('waiting', 'intended');
CREATE INDEX IF NOT EXISTS notification_of_mail ON notification (mail) WHERE state IN ('waiting', 'intended');
CREATE INDEX IF NOT EXISTS notification_untold ON notification (position)
    WHERE state IN ('sent', 'failed') AND reported = 0;
CREATE TABLE IF NOT EXISTS withdrawal (
    key text NOT NULL,
    epoch integer NOT NULL,
    position integer NOT NULL,
    PRIMARY KEY (key, epoch, position)
) STRICT;
CREATE TEMP TABLE ahead ( -- withdrawals that the broker has not brought yet: a restore may undo them unseen
    key text NOT NULL,
    position integer NOT NULL,
    PRIMARY KEY (key, position)
) STRICT;
CREATE TEMP TABLE left_out ( -- what such alone have ended, or had when it was last looked at
    key text PRIMARY KEY
) STRICT;
"""
_BEYOND = 2**62
"""A position that no log comes to."""
_SAID_IN = "EXISTS (SELECT 1 FROM {} w WHERE w.key IN (n.cancellation_key, n.key) AND w.position > n.position)"
_WITHDRAWN = f"({_SAID_IN.format('withdrawal')} OR {_SAID_IN.format('ahead')})"
_ENTRY = f"SELECT content, mail, state, attempts, why, permanent, {_WITHDRAWN}, in_vain FROM notification n"
_ENDED_AHEAD = f"state = 'withdrawn' AND NOT {_SAID_IN.format('withdrawal')}"
_LEFT_OUT = f"INSERT OR IGNORE INTO left_out SELECT key FROM notification n WHERE {_ENDED_AHEAD}"
_LEFT_OUT_NO_MORE = f"""DELETE FROM left_out WHERE NOT EXISTS (
    SELECT 1 FROM notification n WHERE n.key = left_out.key AND {_ENDED_AHEAD}
)"""
_ABANDONED = "epoch < :epoch AND position > :position"
_TAKE_UP_AGAIN = f"UPDATE notification AS n SET state = 'waiting' WHERE state = 'withdrawn' AND NOT {_WITHDRAWN}"
_FORGET = (
    f"DELETE FROM withdrawal WHERE {_ABANDONED}",
    f"DELETE FROM notification WHERE state IN ('waiting', 'withdrawn') AND {_ABANDONED}",
    "UPDATE notification SET position = :position, content = json_set(content, '$.position', :position)"
    f" WHERE {_ABANDONED}",
    _TAKE_UP_AGAIN,
)
_NEXT_MAIL = f"""{_ENTRY}
WHERE state IN ('waiting', 'intended') AND mail = (
    SELECT mail FROM notification WHERE state IN ('waiting', 'intended') AND ready_at <= ?
    ORDER BY in_vain > 0, ready_at, position LIMIT 1
) ORDER BY position
"""
_UNTOLD = "state IN ('sent', 'failed') AND reported = 0"
_NEXT_UNTOLD = f"{_ENTRY} WHERE {_UNTOLD} AND ready_at <= ? ORDER BY in_vain > 0, ready_at, position LIMIT 1"
_DONE_WITH = (
    "(state = 'withdrawn' OR state IN ('sent', 'failed') AND reported = 1)"
    " AND julianday(json_extract(content, '$.due.expires_at')) < julianday(:before)"
)


@dataclass(frozen=True, slots=True)
class Entry:
    notification: Notification
    mail: str
    """What goes in one mail shares it: as long as it gathers, the group; once its data go out, the mail's id."""
    state: State
    attempts: int = 0
    why: str | None = None
    permanent: bool = False
    withdrawn: bool = False
    """Whether it became needless after it had fallen due."""
    in_vain: int = 0
    """How often, one after the other, it was put off."""

    @property
    def key(self) -> str:
        return self.notification.key


@contextmanager
def _waited_for() -> Iterator[None]:
    """A disk that is full, or a file that somebody else holds, is no notification's fault, and passes."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise Unavailable(f"the ledger can't be used: {error}") from error


BUSY = 0.2
"""Seconds that a statement waits for a ledger that somebody else holds: all else of this process stands still then."""


class _File(sqlite3.Connection):
    def execute(self, *statement: Any) -> sqlite3.Cursor:
        with _waited_for():
            return super().execute(*statement)

    def __exit__(self, *error: Any) -> Literal[False]:
        with _waited_for():
            return super().__exit__(*error)


class Ledger:
    """A SQLite file; each change is whole, and on disk when its method returns. All of them raise `Unavailable`."""

    def __init__(self, path: Path) -> None:
        with _waited_for():
            self._file = sqlite3.connect(path, timeout=BUSY, isolation_level=None, factory=_File)
            self._file.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; {_TABLES} {_LEFT_OUT};")
        if "in_vain" not in [column for _, column, *_ in self._file.execute("PRAGMA table_info(notification)")]:
            # A file of an earlier release.
            self._file.execute("ALTER TABLE notification ADD COLUMN in_vain integer NOT NULL DEFAULT 0")

    def close(self) -> None:
        self._file.close()

    def add(self, notification: Notification, *, mail: str, ready_at: datetime) -> None:
        """If it is there already, whatever became of it, then it is to be reported, at most: to a later timeline of the
        log, which has not heard of it.
        """
        self._file.execute(
            "INSERT INTO notification (key, content, epoch, position, cancellation_key, mail, ready_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (key) DO UPDATE SET epoch = excluded.epoch, reported = 0 WHERE excluded.epoch > epoch",
            (
                notification.key,
                notification.model_dump_json(),
                notification.epoch,
                notification.position,
                f"{notification.tenant}/{notification.due.cancellation_key}",
                mail,
                ready_at.timestamp(),
            ),
        )

    def withdraw(self, key: str, epoch: int, position: int) -> None:
        """What has this key, its own or its cancellation key, and is before that position of the log is needless."""
        self._file.execute("INSERT INTO withdrawal VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (key, epoch, position))

    def leave_out(self, key: str, epoch: int) -> None:
        """What has this key is needless by what the query API says now, which any restore may undo."""
        self.withdraw(key, epoch, _BEYOND)

    def withdraw_ahead(self, key: str, epoch: int, position: int) -> None:
        """As `withdraw`, by what the broker has not brought yet; known to this process alone, until `forget_ahead`."""
        self._file.execute("INSERT INTO ahead VALUES (?, ?) ON CONFLICT DO NOTHING", (key, position))

    def caught_up(self, position: int) -> None:
        """All up to that position of the log was brought, and so need not be known ahead."""
        self._file.execute("DELETE FROM ahead WHERE position <= ?", (position,))

    def ended_ahead(self) -> bool:
        """Whether something was left out that only `withdraw_ahead` has told of: a restore may bring it back.

        Of all that the file holds, only what was left out so is looked at: this is asked whenever something comes.
        """
        self._file.execute(_LEFT_OUT_NO_MORE)
        [found] = self._file.execute("SELECT EXISTS (SELECT 1 FROM left_out)").fetchone()
        return bool(found)

    def forget_ahead(self) -> None:
        """What was withdrawn ahead is to be looked for anew; what it alone had ended waits again."""
        with self._file:
            self._file.execute("BEGIN IMMEDIATE")
            self._file.execute("DELETE FROM ahead")
            self._file.execute(_TAKE_UP_AGAIN)

    def forget_abandoned(self, epoch: int, position: int) -> None:
        """The log is in that epoch, and of earlier ones what is beyond that position was undone by a restore.

        What was withdrawn there, was not; what waits from there falls due again, or no more; what was sent, or may have
        been, stays so.
        """
        with self._file:
            self._file.execute("BEGIN IMMEDIATE")
            for statement in _FORGET:
                self._file.execute(statement, {"epoch": epoch, "position": position})

    def next_mail(self, now: datetime) -> list[Entry]:
        """All that goes, or may have gone, in the one mail whose turn it is; what was put off comes after all else."""
        return [_entry(row) for row in self._file.execute(_NEXT_MAIL, (now.timestamp(),))]

    def next_at(self, *, fresh: bool = False) -> datetime | None:
        """When there will be a next mail; `fresh`: one that was not put off."""
        return self._next_at("state IN ('waiting', 'intended')", fresh)

    def has_needless(self, keys: Sequence[str]) -> bool:
        """Whether one of them was withdrawn after it had fallen due."""
        places = ", ".join("?" * len(keys))
        [found] = self._file.execute(
            f"SELECT EXISTS (SELECT 1 FROM notification n WHERE key IN ({places}) AND {_WITHDRAWN})", keys
        ).fetchone()
        return bool(found)

    def intend(self, keys: Sequence[str], mail: str) -> None:
        self._set(keys, "state = 'intended', mail = ?", (mail,))

    def postpone(self, keys: Sequence[str], state: State, until: datetime, why: str, *, apart: bool = False) -> None:
        """To be tried again then; `apart`: each in a mail of its own."""
        mail = "key" if apart else "mail"
        self._set(
            keys,
            f"state = ?, ready_at = ?, why = ?, attempts = attempts + 1, in_vain = 0, mail = {mail}",
            (state, until.timestamp(), why),
        )

    def put_off(self, keys: Sequence[str], until: datetime, why: str | None = None) -> None:
        """To be tried then, mail or report, after all that was not put off; it counts as no attempt. No `why`: that of
        before stays."""
        self._set(keys, "ready_at = ?, in_vain = in_vain + 1, why = coalesce(?, why)", (until.timestamp(), why))

    def sent(self, keys: Sequence[str]) -> None:
        self._set(keys, "state = 'sent', why = NULL, ready_at = 0, in_vain = 0", ())

    def failed(self, keys: Sequence[str], why: str, *, permanent: bool) -> None:
        self._set(keys, "state = 'failed', why = ?, permanent = ?, ready_at = 0, in_vain = 0", (why, permanent))

    def dropped(self, keys: Sequence[str]) -> None:
        """It was withdrawn before it was sent."""
        self._set(keys, "state = 'withdrawn'", ())
        self._file.execute(f"{_LEFT_OUT} AND key IN ({', '.join('?' * len(keys))})", keys)

    def next_untold(self, now: datetime) -> Entry | None:
        """What was sent or failed, and is to be reported."""
        row = self._file.execute(_NEXT_UNTOLD, (now.timestamp(),)).fetchone()
        return None if row is None else _entry(row)

    def next_untold_at(self, *, fresh: bool = False) -> datetime | None:
        """When there will be a next report; `fresh`: one that was not put off."""
        return self._next_at(_UNTOLD, fresh)

    def reported(self, key: str) -> None:
        self._set([key], "reported = 1, in_vain = 0", ())

    def prune(self, before: datetime) -> None:
        """Delete what had its end and expired before then, and what was withdrawn that early and concerns nothing that
        is left."""
        with self._file:
            self._file.execute("BEGIN IMMEDIATE")
            values = {"before": before.isoformat()}
            [last] = self._file.execute(f"SELECT max(position) FROM notification WHERE {_DONE_WITH}", values).fetchone()
            if last is None:
                return
            self._file.execute(f"DELETE FROM notification WHERE {_DONE_WITH}", values)
            # A withdrawal tells no time of its own; up to here, it is as old as something that expired then.
            self._file.execute(
                "DELETE FROM withdrawal WHERE (position <= ? OR position = ?) AND key NOT IN"
                " (SELECT key FROM notification UNION ALL SELECT cancellation_key FROM notification)",
                (last, _BEYOND),
            )

    def _next_at(self, which: str, fresh: bool) -> datetime | None:
        only = " AND in_vain = 0" if fresh else ""
        [at] = self._file.execute(f"SELECT min(ready_at) FROM notification WHERE {which}{only}").fetchone()
        return None if at is None else datetime.fromtimestamp(at, UTC)

    def _set(self, keys: Sequence[str], what: str, values: Iterable[object]) -> None:
        places = ", ".join("?" * len(keys))
        self._file.execute(f"UPDATE notification SET {what} WHERE key IN ({places})", (*values, *keys))


def _entry(row: Sequence[Any]) -> Entry:
    content, mail, state, attempts, why, permanent, withdrawn, in_vain = row
    notification = Notification.model_validate_json(content)
    return Entry(notification, mail, state, attempts, why, bool(permanent), bool(withdrawn), in_vain)
