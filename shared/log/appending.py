"""What goes into an append and what comes out of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from shared.domain.kernel import Stream
from shared.immutable import immutable


@immutable
class Pending:
    """An event on its way into the log."""

    stream: Stream
    type: str
    schema_version: int
    data: bytes


@immutable
class Append:
    """The events of one command, with what must hold for them to be written.

    `occurred_at` is when they happened; None: when they are recorded.
    `expected` gives the version each concerned stream must have (0: no events yet), and must name every stream that
    `events` writes to. `fingerprint` identifies the command's content; without one no receipt is kept, and only the
    expected versions forbid a second append. `era` is the log's when what it was decided on was read, if that is of
    importance: in another, a version may stand for other events.
    """

    tenant: str
    command_id: UUID
    events: Sequence[Pending]
    expected: Mapping[Stream, int]
    occurred_at: datetime | None
    correlation_id: UUID
    causation_id: UUID
    actor: str = "unknown"
    fingerprint: bytes | None = None
    era: int | None = None


@immutable
class Written:
    """Where one event was written."""

    position: int
    stream: Stream
    version: int
    type: str
    event_id: UUID


@immutable
class Appended:
    """A durable append; `repeated` when it is the first answer to the same command, given again."""

    command_id: UUID
    position: int
    """Of its last event; what a reader names to read its own writes."""
    events: tuple[Written, ...]
    recorded_at: datetime
    repeated: bool = False


class WrongVersion(Exception):
    """A stream is not where the append expected it. Nothing was written."""

    def __init__(self, stream: Stream, expected: int, actual: int) -> None:
        super().__init__(f"stream {stream} has version {actual}, expected {expected}")
        self.stream, self.expected, self.actual = stream, expected, actual


class KeyReused(Exception):
    """A command id came again with other content. Nothing was written."""

    def __init__(self, command_id: UUID) -> None:
        super().__init__(f"command id {command_id} was used before for a command with other content")
        self.command_id = command_id


class RefusedBefore(Exception):
    """A command is among those whose refusal was kept. Nothing was written."""


class LogUnavailable(Exception):
    """PostgreSQL did not answer, or could not write, in time, or does not let the service do so. Whether the append was
    written is not known; repeating it is safe."""


class OtherEra(LogUnavailable):
    """The log was restored, or another server has taken over, since this was decided: what it was decided on may not be
    there any more. To be decided again; where an attempt before had been written after all, its receipt tells."""


Outcome = Appended | WrongVersion | KeyReused


@immutable
class Receipt:
    """What was kept of the first answer to a command."""

    fingerprint: bytes
    position: int
    events: int
    recorded_at: datetime


@immutable
class KeptRefusal:
    """The first answer to a command that was refused; `fingerprint` identifies its content, `refusal` is JSON."""

    tenant: str
    command_id: UUID
    fingerprint: bytes
    refusal: str


@immutable
class Known:
    """What the log keeps of some commands that came before, by tenant and command id."""

    receipts: Mapping[tuple[str, UUID], Receipt]
    answers: Mapping[tuple[str, UUID], Appended]
    """To each that has a receipt, what it was answered."""
    refusals: Sequence[KeptRefusal]


@immutable
class Head:
    position: int
    epoch: int
