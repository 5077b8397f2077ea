"""Connections to PostgreSQL that wait for it rather than fail."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Literal, TypeVar, cast

import asyncpg
import structlog

ROLE = "kithlog_app"
"""Runtime connections work as this role: it may append to the log and read it, never change it."""

PATIENCE = 60
"""Seconds that a statement may take: a server that vanished without a word is given up then."""

GIVEN_UP = {
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    # No probes are sent while data is on its way: that is tried for a quarter of an hour.
    "tcp_user_timeout": "60000",
}
"""How a session's server finds out that its client's machine has vanished without a word, be it by a power cut: after a
minute, not the two hours and more of most systems. What the session held, such as the turn to rebuild, is free then."""

_GIVEN_UP_HERE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 60_000}
"""The same for a server's machine, which asyncpg would wait for without end; not all systems have them all."""

LONGEST_PAUSE = 2.0
"""Seconds between attempts at what is away."""

LETTING_GO = 2.0
"""Seconds after which a server that does not answer that it has cancelled a statement is given up."""

_TASKS: set[asyncio.Task[None]] = set()

UNAVAILABLE = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
"""What asyncpg raises while PostgreSQL is away, restarting or cut off. `InterfaceError` stands for calls on a
connection that was closed under them, `InternalClientError` for a session that the server ended between statements."""

PASSING = (
    *UNAVAILABLE,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.InsufficientResourcesError,
    asyncpg.LockNotAvailableError,
    asyncpg.OperatorInterventionError,
    asyncpg.PostgresSystemError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.TransactionRollbackError,
)
"""What passes when PostgreSQL is back, or has room again, or this process has time; see `is_away`."""

WRITABLE: Any = "read-write"
"""The sessions that are wanted. A stand-by that an address leads to during a switch-over knows less than was answered:
what it lacks would be taken for lost."""

Unfit = Literal["user", "rights", "database", "role", "release"]
"""What about a session, or about the database that it is in, does not let anybody work; see `unfit`."""

T = TypeVar("T")
_CUT_OFF = re.compile("connection|pool")
logger = structlog.get_logger(__name__)


def is_away(error: BaseException) -> bool:
    """Whether it passes when PostgreSQL is back: to be waited for, never the fault of what is written."""
    # Values that don't fit their columns are InterfaceErrors of asyncpg's, too, and ValueErrors: waiting won't mend
    # them. (A certificate that can't be verified is a ValueError as well; but that is mended at the server.)
    ours = isinstance(error, asyncpg.InterfaceError) and isinstance(error, ValueError)
    return isinstance(error, PASSING) and not ours


def unfit(error: BaseException) -> Unfit | None:
    """What keeps the session from working, whatever it is asked: never the fault of what is written.

    PostgreSQL's classes 28, 3D, 3F and 42: a password that was changed, a grant that was taken away, another server
    that has taken over. All SQL here is static, and values are arguments, of which PostgreSQL complains in class 22;
    its one error there that is none of a value says that the cluster has no `ROLE`. Operators mend it while services
    run, so whoever works already waits; who begins (`persist`) ends, to be heard.
    """
    match error:
        case asyncpg.InvalidAuthorizationSpecificationError():
            return "user"
        case asyncpg.InsufficientPrivilegeError():
            return "rights"
        case asyncpg.InvalidCatalogNameError():
            return "database"
        case asyncpg.InvalidParameterValueError() if ROLE in str(error):  # as connections ask for it
            return "role"
        case asyncpg.InvalidSchemaNameError() | asyncpg.SyntaxOrAccessError():
            return "release"
    return None


async def connect(url: str, **options: Any) -> asyncpg.Connection[asyncpg.Record]:
    """One connection in the services' role. Raises what asyncpg raises."""
    settings = {"role": ROLE, "application_name": "kithlog", **options.pop("server_settings", {})}
    return await reach(url, server_settings=settings, target_session_attrs=WRITABLE, **options)


async def reach(url: str, **options: Any) -> asyncpg.Connection[asyncpg.Record]:
    """One connection as the user whom the URL names; neither side waits for one that has vanished. Raises what asyncpg
    raises."""
    settings = {**GIVEN_UP, **options.pop("server_settings", {})}
    connection: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(
        url, server_settings=settings, timeout=5, **options
    )
    give_up_a_vanished_server(connection)
    return connection


def give_up_a_vanished_server(connection: Any) -> None:
    """So that whatever waits for it is told that the connection was lost; after a minute, as `GIVEN_UP`."""
    if connection.is_closed():
        return
    own = connection._transport.get_extra_info("socket")  # asyncpg has no option of its own for it
    if own.family == socket.AF_UNIX:
        return
    own.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _GIVEN_UP_HERE.items():
        if option := getattr(socket, name, None):
            own.setsockopt(socket.IPPROTO_TCP, option, value)


async def open_pool(url: str, *, max_size: int = 10) -> asyncpg.Pool[asyncpg.Record]:
    """A pool in the services' role; keeps trying while PostgreSQL is away."""
    return await persist(
        "postgresql",
        lambda: asyncpg.create_pool(
            url,
            min_size=1,
            max_size=max_size,
            connect=cast(Any, connect),  # stubs want each option by its name
            command_timeout=PATIENCE,
            reset=nothing_to_reset,
        ),
    )


@asynccontextmanager
async def session_of(pool: asyncpg.Pool[asyncpg.Record]) -> AsyncIterator[Any]:
    """A session of the pool, for as long as the block takes.

    Whoever is cancelled in it is let go at once: what it had asked the server for is cancelled there without anybody
    waiting for that, and the session is given up where the server does not answer. The pool would wait for it, with
    its caller, as long as for a statement.
    """
    session = await pool.acquire()
    try:
        yield session
    except asyncio.CancelledError:
        _unattended(pool.release(session, timeout=LETTING_GO))
        raise
    except BaseException:
        await pool.release(session)
        raise
    else:
        await pool.release(session)


def _unattended(work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.create_task(work)
    _TASKS.add(task)
    task.add_done_callback(_TASKS.discard)
    task.add_done_callback(lambda done: done.cancelled() or done.exception())


async def nothing_to_reset(connection: Any) -> None:
    """No statement that goes through a pool leaves anything behind in its session (open transactions are rolled back in
    any case); asyncpg's own reset costs a second round trip for every one of them."""


async def persist(what: str, attempt: Callable[[], Awaitable[T]]) -> T:
    """Try until it works, with growing pauses; only what is `PASSING` is waited for, other errors are raised."""
    pause = 0.05
    while True:
        try:
            return await attempt()
        except PASSING as error:
            if isinstance(error, asyncpg.InterfaceError) and not _CUT_OFF.search(str(error)):
                raise  # wrong arguments are InterfaceErrors, too: waiting won't mend them
            logger.warning("waiting for it", what=what, error=repr(error), pause=pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
