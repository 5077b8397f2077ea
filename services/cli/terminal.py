"""What every verb of `kithlog` shares: how it ends, what it prints, how it says that something is not there.

| exit code | meaning |
|---|---|
| 0 | done, nothing is wrong |
| 1 | something is wrong: a difference, a finding, a file that was tampered with, a refusal |
| 2 | not understood: an unknown name, an empty range, settings or a file that can't be read; nothing was done |
| 3 | PostgreSQL or RabbitMQ is away, or PostgreSQL can't now: a full disk, a lock; what can be resumed says how |
| 4 | not allowed: wrong password, or rights that are missing |
| 130 | interrupted with Ctrl-C |

Data goes to standard output, one JSON object a line with `--json`; messages go to standard error, and so does progress
where that is a terminal, without `--json`.
"""

from __future__ import annotations

import asyncio
import codecs
import json
import shlex
import signal
import sys
import threading
from collections.abc import Coroutine, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

import asyncpg
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from services.cli.settings import OperatorSettings
from services.projector.rebuild import past
from shared.broker.connection import UNREACHABLE
from shared.codec import UnknownEventType
from shared.database.pool import PASSING, ROLE, UNAVAILABLE, is_away, unfit
from shared.operations.logging import configure_logging
from shared.operations.settings import Unusable, from_environment
from shared.operations.variables import unread

OK, WRONG, USAGE, UNAVAILABLE_CODE, DENIED, INTERRUPTED = 0, 1, 2, 3, 4, 130

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")]


def given(text: str | None) -> str | None:
    if text is not None and not text.strip():
        raise typer.BadParameter("say why; it is recorded")
    return text


Why = Annotated[str, typer.Option("--why", help="The reason; it is recorded.", callback=given)]
AlsoWhy = Annotated[str | None, typer.Option("--why", help="A reason, to be recorded.", callback=given)]

T = TypeVar("T")
MIGRATE = "start a projector service once: it migrates the database, and executes no commands"


class Ended(Exception):
    """The verb can't go on; the message says why and, after a colon, what to do."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def wrong(message: str) -> Ended:
    return Ended(WRONG, message)


def away(error: Exception, then: str | None = None) -> Ended:
    """PostgreSQL can't be reached, or not any more, or has no room, or can't now; `then`: what is to be known once it
    can."""
    # What is not of a connection says itself what is to be seen to, such as a full disk or a lock that somebody holds.
    gone = isinstance(error, UNAVAILABLE)
    told, remedy = ("is away", "check KITHLOG_DATABASE_URL, or wait") if gone else ("can't now", "see to it, or wait")
    return Ended(UNAVAILABLE_CODE, f"PostgreSQL {told} ({_short(error)}): {remedy}" + (f"; {then}" if then else ""))


def misunderstood(message: str) -> Ended:
    return Ended(USAGE, message)


def settings() -> OperatorSettings:
    """Raises `Ended` naming each variable that can't be used, never its value."""
    try:
        return from_environment(OperatorSettings)
    except Unusable as error:
        raise misunderstood(str(error)) from None


def run(verb: Coroutine[Any, Any, T]) -> T:
    """Run a verb to its end; whatever ends it early becomes one line on standard error and an exit code."""
    configure_logging("warning", "console", sys.stderr)
    for each in unread():
        _say(f"nothing reads {each.variable}: {each.remedy}")
    try:
        return asyncio.run(verb)
    except KeyboardInterrupt:
        _say("interrupted")
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:
        raise  # whoever read has had enough: Click ends without a word
    except Exception as error:
        ended = meaning(error)
        if ended is None:
            raise
        _say(str(ended))
        raise typer.Exit(ended.code) from None


def meaning(error: Exception) -> Ended | None:
    """What an exception means to who sits at the terminal; None: it is a defect, and its traceback is wanted."""
    match error:
        case Ended():
            return error
        case ExceptionGroup():
            return meaning(error.exceptions[0])
    if isinstance(error, UnknownEventType):
        return Ended(WRONG, f"{error}: use a release that knows it")
    if isinstance(error, past.Unusable):
        return Ended(WRONG, f"{error}: use a release that can, or restore that event from a back-up")
    if isinstance(error, asyncpg.ClientConfigurationError):
        return Ended(USAGE, f"KITHLOG_DATABASE_URL can't be used: {error}")
    match unfit(error):
        case "user":
            return Ended(DENIED, f"PostgreSQL: {error}: correct user and password in KITHLOG_DATABASE_URL")
        case "rights":
            needs = f"its user needs the role {ROLE}, and that role the rights that the migrations gave it"
            return Ended(DENIED, f"PostgreSQL does not allow it ({error}): {needs}")
        case "database":
            return Ended(UNAVAILABLE_CODE, f"PostgreSQL: {error}: set KITHLOG_DATABASE_URL to the log's database")
        case "role":
            return Ended(WRONG, f"there is no role {ROLE} in this cluster ({error}): {MIGRATE}")
        case "release":
            return Ended(WRONG, f"this database is not of this release ({error}): {MIGRATE}")
    if type(error).__name__ in ("ProbableAuthenticationError", "ChannelAccessRefused"):
        return Ended(DENIED, f"RabbitMQ does not allow it: {error}")
    if is_away(error) and _is_of_postgresql(error):
        return away(error)
    # Python's own RuntimeErrors, such as a recursion without end, are defects: the client libraries raise theirs.
    if isinstance(error, UNREACHABLE) and not (isinstance(error, RuntimeError) and _is_of_python(error)):
        return Ended(UNAVAILABLE_CODE, f"RabbitMQ is away ({_short(error)}): check KITHLOG_AMQP_URL, or wait")
    return None


def _is_of_python(error: Exception) -> bool:
    return type(error).__module__ == "builtins"


def _is_of_postgresql(error: Exception) -> bool:
    # Both clients raise bare OSErrors, also by subclasses of their own in RabbitMQ's case.
    return not type(error).__module__.startswith(("aio_pika", "aiormq", "shared.broker"))


def go_on_with(*command: str) -> str:
    """Which command of `kithlog` goes on with what was cut off."""
    return f"go on with `{shlex.join(('kithlog', *command))}`"


@contextmanager
def ended_by_ctrl_c() -> Iterator[None]:
    """For a block within `run` that awaits nothing, such as a question: there asyncio would take Ctrl-C for a wish to
    end the next time that something is awaited."""
    before = signal.getsignal(signal.SIGINT)
    if not callable(before) or threading.current_thread() is not threading.main_thread():
        yield  # whoever is started in the background ignores it, and only the main thread hears of it
        return
    signal.signal(signal.SIGINT, _interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _interrupted(*_: object) -> None:
    raise Ended(INTERRUPTED, "interrupted")  # a KeyboardInterrupt would be an answer to Click's questions


@contextmanager
def going_on_by(*command: str) -> Iterator[None]:
    """Whoever interrupts the block, or loses PostgreSQL in it, is told which command of `kithlog` goes on with it.

    Raises `Ended` when PostgreSQL is lost; what else an `OSError` may be, such as a full disk, passes.
    """
    how = go_on_with(*command)
    try:
        yield
    except asyncio.CancelledError:
        note(how)
        raise
    except PASSING as error:
        of_a_file = isinstance(error, OSError) and not isinstance(error, ConnectionError | TimeoutError)
        if of_a_file or not (is_away(error) and _is_of_postgresql(error)):
            raise
        told = "went away" if isinstance(error, UNAVAILABLE) else "can't go on now"
        raise Ended(UNAVAILABLE_CODE, f"PostgreSQL {told} ({_short(error)}): {how}") from None


def _short(error: Exception) -> str:
    return str(error) or type(error).__name__


def _say(message: str) -> None:
    typer.echo(f"kithlog: {message}", err=True)


def note(message: str) -> None:
    """A remark beside the data."""
    typer.echo(message, err=True)


def show_json(rows: Iterable[Any]) -> None:
    # Another encoding has not all letters, and whoever reads it may take it for UTF-8, as JSON has to be.
    ascii_only = codecs.lookup(sys.stdout.encoding or "ascii").name != "utf-8"
    for row in rows:
        typer.echo(json.dumps(row, default=str, ensure_ascii=ascii_only))


def second(text: str | None) -> str | None:
    """An instant in ISO 8601 as people read it: in UTC, without what is below a second."""
    return text and f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"


class _Rate(ProgressColumn):
    """How many a second, so far."""

    def render(self, task: Any) -> Text:
        speed = task.finished_speed or task.speed or (task.completed / task.elapsed if task.elapsed else 0)
        return Text(f"{speed:,.0f}/s" if speed else "")


@contextmanager
def progress(what: str, total: int, *, json: bool) -> Iterator[Any]:
    """A bar with rate and time left on standard error; yields `advance(n)`. Silent unless that is a terminal, and with
    `--json`."""
    bar = Progress(
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=json or not sys.stderr.isatty(),
    )
    with bar:
        task = bar.add_task(what, total=total)
        yield lambda n: bar.advance(task, n)
