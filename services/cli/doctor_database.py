"""What can be wrong with PostgreSQL, the log, the relay and the projector, as the database shows it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import asyncpg

from services.cli.findings import Finding, ok
from services.cli.terminal import MIGRATE, second
from services.projector.folding.timing_rows import OF_TIMING, rebuilt_as
from services.projector.models import MODELS
from shared.clock import Clock, SystemClock
from shared.database.migrate import migrations
from shared.database.pool import ROLE, UNAVAILABLE, give_up_a_vanished_server
from shared.database.queries import load_queries

QUERIES = load_queries("services.cli", "doctor.sql")
RELAY = "events"
OLD_TRANSACTION = 60.0
"""Seconds after which an open transaction keeps vacuum from its work for too long."""
DEAD_TUPLES = 10_000
OVERDUE = 60.0
"""Seconds that a timer may be late before that is worth a look."""
CLOCKS = (1.0, 30.0)
"""Seconds between the machine's clock and the database's: worth a look, wrong."""
_DB = "postgresql"
_UNFINISHED = "unfinished read models"

Check = Callable[[Any], Awaitable[list[Finding]]]


async def look_at_database(url: str, *, watch: float, clock: Clock | None = None) -> list[Finding]:
    """All findings; `watch`: seconds between two looks at what is behind, to see whether it moves."""
    try:
        connection = await asyncpg.connect(url, timeout=5, server_settings={"application_name": "kithlog doctor"})
        give_up_a_vanished_server(connection)
    except UNAVAILABLE as error:
        return [Finding(_DB, "connection", "away", str(error) or type(error).__name__,
                        "start PostgreSQL, or correct KITHLOG_DATABASE_URL")]  # fmt: skip
    except asyncpg.PostgresError as error:
        return [Finding(_DB, "connection", "wrong", str(error), "correct user, password or database in "
                        "KITHLOG_DATABASE_URL")]  # fmt: skip
    try:
        found = await _server(connection)
        migrated = await _migrations(connection)
        found += migrated
        if any(finding.state == "wrong" for finding in migrated):
            return found  # the rest would only repeat it
        own_clock = clock or SystemClock()
        checks: dict[str, Check] = {
            "role": _role,
            "transactions": _transactions,
            "dead rows": _tuples,
            "log": _log_end,
            "read models": _models,
            _UNFINISHED: _unfinished,
            "parked streams": _parked,
            "timers": _timers,
            "clock": lambda connection: _clocks(connection, own_clock),
            "movement": lambda connection: _movement(connection, watch),
        }
        for what, check in checks.items():
            try:
                found += await check(connection)
            except asyncpg.InsufficientPrivilegeError as error:
                # What one check may not read keeps no other from telling; _role says what to do about most of it.
                found.append(Finding(_DB, what, "unknown", str(error), f"ask as a user with the role {ROLE}"))
        return found
    finally:
        connection.terminate()


async def _server(connection: Any) -> list[Finding]:
    row = await connection.fetchrow(QUERIES["server"])
    found = [ok(_DB, "version", row["version"])]
    if row["number"] < 150_000:
        found = [Finding(_DB, "version", "wrong", row["version"], "upgrade to PostgreSQL 15 or later")]
    for setting in ("fsync", "full_page_writes"):
        if row[setting] != "on":
            found.append(Finding(_DB, setting, "wrong", f"{setting} is {row[setting]}: a crash can lose what was "
                                 "acknowledged", f"set {setting} = on"))  # fmt: skip
    if row["synchronous_commit"] == "off":
        found.append(Finding(_DB, "synchronous_commit", "wrong", "off: a crash loses what was acknowledged last",
                             "set synchronous_commit = on"))  # fmt: skip
    if row["recovering"]:
        found.append(Finding(_DB, "recovery", "wrong", "this server is a stand-by, or still recovering: nothing can be "
                             "written", "promote it, or point KITHLOG_DATABASE_URL at the primary"))  # fmt: skip
    used = f"{row['connections']} of {row['most']} connections"
    if row["connections"] > 0.9 * row["most"]:
        found.append(Finding(_DB, "connections", "look", used, "raise max_connections, or lower KITHLOG_POOL_SIZE"))
    else:
        found.append(ok(_DB, "connections", used))
    return found


async def _migrations(connection: Any) -> list[Finding]:
    try:
        rows = await connection.fetch(QUERIES["applied"])
    except asyncpg.UndefinedTableError:
        return [Finding(_DB, "migrations", "wrong", "none was applied", MIGRATE)]
    except asyncpg.InsufficientPrivilegeError:
        return [Finding(_DB, "migrations", "unknown", "this user may not read public.kithlog_migration",
                        "ask as the user who migrates")]  # fmt: skip
    applied = {row["number"]: row["checksum"] for row in rows}
    known = {migration.number: migration for migration in migrations()}
    if ahead := sorted(applied.keys() - known.keys()):
        return [Finding(_DB, "migrations", "wrong", f"number {ahead[0]} is of a later release than this one",
                        "use the release that the services have")]  # fmt: skip
    if missing := sorted(known.keys() - applied.keys()):
        return [Finding(_DB, "migrations", "wrong", f"number {missing[0]} is missing",
                        "start a service of this release: it migrates")]  # fmt: skip
    if changed := [number for number in sorted(applied) if applied[number] != known[number].checksum]:
        return [Finding(_DB, "migrations", "wrong", f"number {changed[0]} was applied with another text",
                        "use the release that the services have; never edit a migration")]  # fmt: skip
    return [ok(_DB, "migrations", f"all {len(applied)} applied")]


async def _role(connection: Any) -> list[Finding]:
    try:
        if await connection.fetchval(QUERIES["may_work"], ROLE):
            return []
    except asyncpg.UndefinedObjectError:  # roles are the cluster's: a dump of the database has none
        return [Finding(_DB, "role", "wrong", f"there is no role {ROLE} in this cluster", MIGRATE)]
    return [Finding(_DB, "role", "wrong", f"this user may not work as {ROLE}", f"GRANT {ROLE} TO this user")]


async def _transactions(connection: Any) -> list[Finding]:
    found = [_slot(row) for row in await connection.fetch(QUERIES["slots"])]
    row = await connection.fetchrow(QUERIES["oldest_transaction"])
    if row is None or row["seconds"] < OLD_TRANSACTION:
        return [*found, ok(_DB, "oldest transaction", "none" if row is None else f"{row['seconds']:.1f} s")]
    who = f"{row['usename']} ({row['application_name']}, {row['state']})"
    told = f"open for {row['seconds']:.0f} s by {who}: dead rows can't be removed meanwhile"
    end = f"end it: SELECT pg_terminate_backend({row['pid']})"
    return [*found, Finding(_DB, "oldest transaction", "look", told, end)]


def _slot(row: Any) -> Finding:
    name, drop = row["slot_name"], f"SELECT pg_drop_replication_slot('{row['slot_name']}')"
    if row["lost"]:
        return Finding(_DB, "replication slot", "look", f"{name} was given up: what its reader lacks is gone",
                       f"{drop}; make its reader anew, such as a stand-by from a base back-up")  # fmt: skip
    holds = "holds nothing yet" if row["bytes"] is None else f"holds {row['bytes']:,} bytes of WAL"
    return Finding(_DB, "replication slot", "look", f"{name} is read by nobody and {holds}",
                   f"start its reader, or {drop}")  # fmt: skip


async def _tuples(connection: Any) -> list[Finding]:
    rows = await connection.fetch(QUERIES["dead_tuples"], DEAD_TUPLES)
    if not rows:
        return [ok(_DB, "dead rows", f"no table has {DEAD_TUPLES:,} or more")]
    return [Finding(_DB, "dead rows", "look", f"{row['name']} has {row['dead']:,} dead rows on {row['live']:,} living",
                    f"VACUUM {row['name']}; see what keeps autovacuum from it") for row in rows]  # fmt: skip


async def _log_end(connection: Any) -> list[Finding]:
    row = await connection.fetchrow(QUERIES["log_end"])
    if row["position"] != (row["last"] or 0):
        return [Finding("log", "head", "wrong", f"the head is at {row['position']}, the last event at {row['last']}",
                        "stop the services; run `kithlog verify`; restore from a back-up")]  # fmt: skip
    return [ok("log", "head", f"position {row['position']}, epoch {row['epoch']}")]


async def _models(connection: Any) -> list[Finding]:
    live = {row["model"]: row["version"] for row in await connection.fetch(QUERIES["live"])}
    if not live:
        return [ok("projector", "read models", "none yet")]
    wanted = {model.name: model.version for model in (*MODELS, *OF_TIMING.values())}
    off = {name: version for name, version in wanted.items() if live.get(name) != version}
    if unknown := sorted(live.keys() - wanted.keys()):
        return [Finding("projector", "read models", "wrong", f"live, but none of this release's: {', '.join(unknown)}",
                        "use the release that has them: this one's projector does not fold beside them")]  # fmt: skip
    if not off:
        return [ok("projector", "read models", f"{len(wanted)} live")]
    told = ", ".join(f"{name} {live.get(name, 'missing')} instead of {version}" for name, version in off.items())
    names = dict.fromkeys(map(rebuilt_as, off))
    return [Finding("projector", "read models", "wrong", told, f"kithlog rebuild {' '.join(names)}")]


async def _unfinished(connection: Any) -> list[Finding]:
    """What killed rebuilds and verifications have left; while somebody is at work, nothing is known to be left."""
    rows = await connection.fetch(QUERIES["unfinished"])
    built = [row for row in rows if row["status"] == "building"]
    others = [row for row in rows if row["status"] != "building"]
    found = []
    if built:
        names = dict.fromkeys(rebuilt_as(row["model"]) for row in built)
        remedy = f"kithlog rebuild {' '.join(names)}: it goes on with them"
        found.append(Finding("projector", _UNFINISHED, "look", f"a killed rebuild has left {_told(built)}", remedy))
    if others:
        remedy = "kithlog verify, or any other rebuild, rollback or verification: it removes them"
        found.append(Finding("projector", _UNFINISHED, "look", f"to be removed are {_told(others)}", remedy))
    return found or [ok("projector", _UNFINISHED, "none")]


def _told(rows: Sequence[Any]) -> str:
    positions: dict[int, list[str]] = {}
    for row in rows:
        positions.setdefault(row["position"], []).append(row["model"])
    models = "; ".join(f"{', '.join(names)} at position {position}" for position, names in positions.items())
    since = second(min(row["created_at"] for row in rows).isoformat())
    return f"{models} ({sum(row['bytes'] for row in rows):,} bytes, begun {since})"


async def _parked(connection: Any) -> list[Finding]:
    row = await connection.fetchrow(QUERIES["parked"])
    if not row["streams"]:
        return [ok("projector", "parked streams", "none")]
    return [Finding("projector", "parked streams", "wrong", f"{row['streams']}, the first at position {row['first']}",
                    "kithlog parked list")]  # fmt: skip


async def _timers(connection: Any) -> list[Finding]:
    row = await connection.fetchrow(QUERIES["overdue"], OVERDUE)
    if not row["timers"]:
        return [ok("projector", "timers", "none is overdue")]
    told = f"{row['timers']} are overdue, the oldest by {row['seconds']:.0f} s"
    return [Finding("projector", "timers", "wrong", told,
                    "see that a projector runs with KITHLOG_FIRE on, and that it keeps up")]  # fmt: skip


async def _clocks(connection: Any, clock: Clock) -> list[Finding]:
    before = clock.now()
    theirs = await connection.fetchval(QUERIES["now"])
    after = clock.now()
    apart = max((before - theirs).total_seconds(), (theirs - after).total_seconds(), 0.0)
    if apart < CLOCKS[0]:
        return [ok(_DB, "clock", f"{apart:.3f} s from this machine's")]
    state = "wrong" if apart >= CLOCKS[1] else "look"
    return [Finding(_DB, "clock", state, f"{apart:.1f} s from this machine's",  # type: ignore[arg-type]
                    "synchronise both clocks (NTP): recorded times and reminders go by the database's")]  # fmt: skip


async def _movement(connection: Any, watch: float) -> list[Finding]:
    """Being behind is no fault; being behind and standing still is."""
    first = await connection.fetchrow(QUERIES["places"], RELAY)
    second = first
    if first["head"] not in (first["relayed"], first["folded"]) or first["relayed"] != first["folded"]:
        await asyncio.sleep(watch)
        second = await connection.fetchrow(QUERIES["places"], RELAY)
    leaders = await connection.fetch(QUERIES["leader"], RELAY)
    return [_relay(first, second, leaders, watch), _projector(first, second, watch)]


def _where(before: int | None, place: int, head: int, watch: float) -> str:
    """How far a reader of the log is, how much it lags, and, where it was watched, how fast that shrinks."""
    if place >= head:
        return f"at {place} of {head}"
    rate = f", {(place - (before or 0)) / watch:,.0f}/s" if watch else ""
    return f"at {place} of {head}, {head - place:,} behind{rate}"


def _relay(first: Any, second: Any, leaders: Any, watch: float) -> Finding:
    head, place = second["head"], second["relayed"] or 0
    where = _where(first["relayed"], place, head, watch)
    if not leaders:
        return Finding("relay", "leader", "wrong", f"nobody publishes, {where}",
                       "start a command service with KITHLOG_RELAY on; if one runs, its log tells what it does not "
                       "reach")  # fmt: skip
    if place < first["head"] and second["relayed"] == first["relayed"]:
        return Finding("relay", "leader", "wrong", f"backend {leaders[0]['pid']} leads and does not move, {where}",
                       "look at its log and at the broker's alarms; SELECT pg_terminate_backend"
                       f"({leaders[0]['pid']}) hands the lead on")  # fmt: skip
    return ok("relay", "leader", f"backend {leaders[0]['pid']}, {where}")


def _projector(first: Any, second: Any, watch: float) -> Finding:
    head, place = second["head"], second["folded"]
    if place is None:
        state = "ok" if head == 0 else "wrong"
        return Finding("projector", "checkpoint", state, "has never run", "start a projector")  # type: ignore[arg-type]
    where = _where(first["folded"], place, head, watch)
    if second["folded_epoch"] != second["epoch"] or place > head:
        told = f"{where}, of epoch {second['folded_epoch']}, the log is of {second['epoch']}"
        return Finding("projector", "checkpoint", "wrong", told,
                       "kithlog rebuild: the database was restored to an earlier point")  # fmt: skip
    if place < first["head"] and place == first["folded"]:
        return Finding("projector", "checkpoint", "wrong", f"does not move, {where}",
                       "see that a projector runs, and what its log and /readyz say")  # fmt: skip
    return ok("projector", "checkpoint", where)
