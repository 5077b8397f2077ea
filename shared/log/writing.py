"""One batch into the log: judge, ask the database, judge again where it disagrees."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from shared.database.queries import columns, load_queries
from shared.domain.identity import event_id
from shared.domain.kernel import Stream
from shared.log.appending import Append, Appended, Outcome, Receipt, RefusedBefore, Written
from shared.log.judging import Key, Verdicts, judge

QUERIES = load_queries("shared.log", "writing.sql")

_Place = tuple[int, Stream, int, str, UUID]
"""Where an event goes: place in the batch (from 1), stream, version, type, event id."""


class Attempt(NamedTuple):
    """A batch as it is to be written, as far as is known."""

    verdicts: Verdicts
    arguments: list[list[Any]]
    written: dict[int, tuple[int, list[_Place]]]
    """See `_arguments`."""


def prepare(appends: Sequence[Append], groups: Sequence[int] | None = None) -> Attempt:
    """What can be done towards `write` without the database."""
    return _attempt(appends, {}, {}, groups)


async def write(
    connection: Any, appends: Sequence[Append], groups: Sequence[int] | None = None, first: Attempt | None = None
) -> list[Outcome]:
    """Write what may be written of a batch, in one statement; answers one outcome for each append, in order.

    `groups` says which appends were decided together; see `judge`. `first` is what was prepared of them.

    `connection` is asyncpg's: outside a transaction the statement is one of its own, durable on return. Raises
    `RefusedBefore` for the batch as a whole, and what asyncpg raises.
    """
    versions: dict[Key, int] = {}
    receipts: dict[Key, Receipt] = {}
    attempt = first or prepare(appends, groups)
    while True:
        verdicts, arguments, written = attempt
        if not verdicts.accepted:
            return await _outcomes(connection, appends, verdicts, {})
        try:
            row = await connection.fetchrow(QUERIES["append"], *arguments)
        except asyncpg.ExclusionViolationError as error:
            raise RefusedBefore from error
        if row["moved"] is None and row["known"] is None:
            done = {
                index: Appended(
                    appends[index].command_id,
                    row["base"] + last,
                    tuple(
                        Written(row["base"] + at, stream, version, type, id) for at, stream, version, type, id in places
                    ),
                    row["recorded_at"],
                )
                for index, (last, places) in written.items()
            }
            return await _outcomes(connection, appends, verdicts, done)
        checks = list(verdicts.checks)
        for ordinal, actual in zip(row["moved"] or (), row["actual"] or (), strict=True):
            versions[checks[ordinal - 1]] = actual
        if row["known"] is not None:
            # Those alone: what the statement saw is as durable as what it writes, and what came since may not be.
            tenants, commands = arguments[3:5]
            known = [(tenants[ordinal - 1], commands[ordinal - 1]) for ordinal in row["known"]]
            receipts |= await find_receipts(connection, known)
        attempt = _attempt(appends, versions, receipts, groups)


def _attempt(
    appends: Sequence[Append],
    versions: Mapping[Key, int],
    receipts: Mapping[Key, Receipt],
    groups: Sequence[int] | None,
) -> Attempt:
    verdicts = judge(appends, versions, receipts, groups)
    return Attempt(verdicts, *_arguments(appends, verdicts))


def _arguments(
    appends: Sequence[Append], verdicts: Verdicts
) -> tuple[list[list[Any]], dict[int, tuple[int, list[_Place]]]]:
    """The columns that `log.append` takes, and for each accepted index what it will have written where."""
    checks = verdicts.checks
    receipt_rows: list[tuple[Any, ...]] = []
    rows: list[tuple[Any, ...]] = []
    written: dict[int, tuple[int, list[_Place]]] = {}
    version: dict[Key, int] = dict(checks)
    for index in verdicts.accepted:
        append = appends[index]
        places = []
        for ordinal, event in enumerate(append.events):
            key = (append.tenant, event.stream.id)
            version[key] += 1
            id = event_id(append.command_id, ordinal)
            rows.append(
                (append.tenant, event.stream.category, event.stream.id, version[key], id, event.type,
                 event.schema_version, append.occurred_at, append.actor, append.command_id, append.correlation_id,
                 append.causation_id, event.data)
            )  # fmt: skip
            places.append((len(rows), event.stream, version[key], event.type, id))
        written[index] = (len(rows), places)
        if append.fingerprint is not None:
            receipt_rows.append((append.tenant, append.command_id, append.fingerprint, len(rows), len(append.events)))
    keys = list(checks)
    check_columns: list[list[Any]] = [
        [tenant for tenant, _ in keys],
        [stream for _, stream in keys],
        list(checks.values()),
    ]
    return [*check_columns, *columns(receipt_rows, 5), *columns(rows, 13)], written


async def find_receipts(connection: Any, commands: Iterable[Key]) -> dict[Key, Receipt]:
    """The receipts of those (tenant, command id) that were answered before."""
    keys = list(commands)
    rows = await connection.fetch(QUERIES["receipts"], [tenant for tenant, _ in keys], [id for _, id in keys])
    return {
        (row["tenant"], row["command_id"]): Receipt(
            row["fingerprint"], row["position"], row["events"], row["recorded_at"]
        )
        for row in rows
    }


async def first_answers(connection: Any, receipts: Sequence[tuple[UUID, Receipt]]) -> list[Appended]:
    """The first answers to repeated commands, read back from what they wrote."""
    rows = await connection.fetch(
        QUERIES["written"],
        [receipt.position - receipt.events for _, receipt in receipts],
        [receipt.position for _, receipt in receipts],
    )
    events: dict[int, Written] = {
        row["position"]: Written(
            row["position"],
            Stream(row["category"], row["stream_id"]),
            row["version"],
            row["type"],
            row["event_id"],
        )
        for row in rows
    }
    return [
        Appended(
            command_id,
            receipt.position,
            tuple(events[at] for at in range(receipt.position - receipt.events + 1, receipt.position + 1)),
            receipt.recorded_at,
            repeated=True,
        )
        for command_id, receipt in receipts
    ]


async def _outcomes(
    connection: Any, appends: Sequence[Append], verdicts: Verdicts, done: dict[int, Appended]
) -> list[Outcome]:
    outcomes: dict[int, Outcome] = {**done, **verdicts.refused}
    if verdicts.known:
        known = [(appends[index].command_id, receipt) for index, receipt in verdicts.known.items()]
        outcomes |= zip(verdicts.known, await first_answers(connection, known), strict=True)
    repeats: dict[int, list[int]] = defaultdict(list)
    for index, first in verdicts.twins.items():
        repeats[first].append(index)
    for first, indices in repeats.items():
        answer = outcomes[first]
        assert isinstance(answer, Appended)
        for index in indices:
            outcomes[index] = Appended(
                answer.command_id, answer.position, answer.events, answer.recorded_at, repeated=True
            )
    return [outcomes[index] for index in range(len(appends))]
