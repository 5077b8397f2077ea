"""The whole log, with its receipts and with what folding it passes over, into a file of sealed lines."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Self

from shared.envelope import Recorded
from shared.log.contents import QUERIES, contents
from shared.log.lines import FORMAT, Discarded, Header, KeptReceipt, Line, Seal, Trailer, Truncated, read_lines

_STEP = 1_000
"""Most events between two reports of progress."""
_PRIVATE = 0o600
"""Who may read an export: its owner. It holds all tenants' data."""


class CannotResume(Exception):
    """The unfinished file is not the beginning of an export of this log, or not any more."""


class BeingWritten(Exception):
    """Somebody else is writing the unfinished file."""


@dataclass(frozen=True, slots=True)
class Exported:
    events: int
    receipts: int
    discarded: int
    digest: str


@dataclass(frozen=True, slots=True)
class _Place:
    """Where writing goes on: what the file holds before it, all of it certain."""

    header: Header
    digest: bytes = b""
    offset: int = 0
    position: int = 0
    """Of the last event that is in the file with all its receipts."""
    receipts: int = 0


async def export_log(
    connection: Any, path: Path, *, upto: int | None = None, resume: bool = False, advance: Callable[[int], None]
) -> Exported:
    """Write the log up to a position (by default: its end) to `path`; `advance(n)` hears of each n events.

    It is written beside it, to `<path>.part`, and takes its place when it is complete and on disk. With `resume`, an
    unfinished one is gone on with, by default to where it was to end. Raises `FileExistsError`, `BeingWritten`,
    `CannotResume`, `Damaged`, `Hole`, `ValueError` for an `upto` that the log has not reached or that the unfinished
    one is beyond, and for a payload that is not one line, and what asyncpg raises.
    """
    _refuse_existing(path)
    with _Part(path.with_name(f"{path.name}.part"), resume=resume) as part:
        _refuse_existing(path)  # whoever had the unfinished one may just have completed it
        # Reading and rewriting a large file takes its time: no transaction is left open meanwhile.
        place = None if part.is_empty() else _find_place(part.path)
        head = await _look(connection, upto)
        if place is not None and upto is not None and upto != place.header.upto:
            await _check_same_log(connection, part.path, place, head)
            place = _announce(part, place, upto)
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            head = await _look(connection, upto)
            if place is None:
                place = _Place(Header(head["position"] if upto is None else upto, head["epoch"]))
            else:
                await _check_same_log(connection, part.path, place, head)
                advance(place.position)
            part.file.truncate(place.offset)
            part.file.seek(place.offset)
            exported = await _write(connection, part.file, place, advance)
            _put_on_disk(part.file)
        part.complete(path)
    return exported


class _Part:
    """The unfinished file, open, and nobody else's until it is closed: who writes it has it locked.

    The lock is the file's, not the name's, so that nothing has to lie beside it: what takes its place is locked before
    it does, and who has got the lock looks whether what is locked still has the name.
    """

    def __init__(self, path: Path, *, resume: bool) -> None:
        """Make it or, with `resume`, take the one that is there. Raises `FileExistsError`, `BeingWritten`."""
        self.path = path
        while True:
            self.file: BinaryIO = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, _PRIVATE), "r+b")
            try:
                _lock(self.file, path)
                if self._has_its_name():
                    if not (resume or self.is_empty()):
                        raise FileExistsError(errno.EEXIST, "is there already", str(path))
                    return
            except BaseException:
                self.file.close()
                raise
            self.file.close()  # it was completed at this moment

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if not self.file.tell() and self.is_empty() and self._has_its_name():
                self.path.unlink()  # nothing to go on with
        finally:
            self.file.close()

    def is_empty(self) -> bool:
        return not os.fstat(self.file.fileno()).st_size

    def replace_by(self, path: Path, file: BinaryIO) -> None:
        """By another one, which nobody else has."""
        _lock(file, path)
        path.rename(self.path)
        self.file.close()
        self.file = file

    def complete(self, path: Path) -> None:
        """It takes the name of what it was to be. Raises `CannotResume` when it is not there any more."""
        if not self._has_its_name():  # the sum that is told would be another file's
            raise CannotResume(f"{self.path} was taken away while it was written: begin anew")
        self.path.rename(path)
        # Else a power cut could undo it, of an export that is recorded as complete; not every file system can.
        with suppress(OSError):
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def _has_its_name(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self.file.fileno()), self.path.stat())
        except FileNotFoundError:
            return False


def _lock(file: BinaryIO, path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BeingWritten(f"somebody else is writing {path}") from None


def _put_on_disk(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


async def _look(connection: Any, upto: int | None) -> Any:
    """The log's head. Raises `ValueError` for an `upto` that it has not reached."""
    head = await connection.fetchrow(QUERIES["head"])
    if upto is not None and not 0 <= upto <= head["position"]:
        raise ValueError(f"position {upto} is not in the log, which ends at {head['position']}")
    return head


def _refuse_existing(path: Path) -> None:
    if path.exists():
        raise FileExistsError(errno.EEXIST, "is there already", str(path))


async def _write(connection: Any, file: BinaryIO, place: _Place, advance: Callable[[int], None]) -> Exported:
    seal, upto, receipts, told = Seal(place.digest), place.header.upto, place.receipts, place.position
    if not place.offset:
        file.write(seal.line(place.header))
    async for content in contents(connection, place.position, upto):
        file.write(seal.line(content))
        if isinstance(content, KeptReceipt):
            receipts += 1
        elif content.position % _STEP == 0 or content.position == upto:
            advance(content.position - told)
            told = content.position
    # At the end, so that an export which is gone on with has all that was discarded by then.
    discarded = [Discarded(*row) for row in await connection.fetch(QUERIES["discarded"], upto)]
    for discard in discarded:
        file.write(seal.line(discard))
    file.write(seal.line(Trailer(upto, upto, receipts, len(discarded))))
    return Exported(upto, receipts, len(discarded), seal.digest.hex())


def _find_place(part: Path) -> _Place:
    """Before the last event of the file: whether all its receipts were written is not known.

    Raises `Damaged` and `CannotResume`.
    """
    header: Header | None = None
    last: Line | None = None
    receipts, of_last = 0, 0
    with part.open("rb") as file:
        try:
            for line in read_lines(file):
                match line.content:
                    case Header():
                        header = line.content
                    case Recorded():
                        last, receipts, of_last = line, receipts + of_last, 0
                    case KeptReceipt():
                        of_last += 1
        except Truncated:
            pass  # it is to be gone on with for that very reason
    if header is None:
        raise CannotResume(f"{part} holds nothing yet: delete it and begin anew")
    if header.format != FORMAT:
        raise CannotResume(f"{part} was begun by an earlier release: delete it and begin anew")
    if last is None or not isinstance(last.content, Recorded) or last.content.position == 1:
        return _Place(header)
    return _Place(header, last.before, last.offset, last.content.position - 1, receipts)


def _announce(part: _Part, place: _Place, upto: int) -> _Place:
    """Let the file announce another end: all of it is sealed anew, for every sum follows from the first line.

    Raises `ValueError` for an end that it is beyond.
    """
    if place.offset and place.position >= upto:
        raise ValueError(f"{part.path} goes to position {place.position + 1} already, beyond {upto}: name a later one")
    header, seal = replace(place.header, upto=upto), Seal()
    beside = part.path.with_name(f"{part.path.name}.new")
    file = os.fdopen(os.open(beside, os.O_RDWR | os.O_CREAT | os.O_TRUNC, _PRIVATE), "w+b")
    try:
        with part.path.open("rb") as lines:
            for line in read_lines(lines):
                if line.offset >= place.offset:
                    break
                file.write(seal.line(header if isinstance(line.content, Header) else line.content))
            digest, offset = seal.digest, file.tell()
            if offset:
                file.write(seal.line(line.content))  # the event there, by which the log is known again
        _put_on_disk(file)
        part.replace_by(beside, file)
    except BaseException:
        beside.unlink(missing_ok=True)
        file.close()
        raise
    return replace(place, header=header, digest=digest, offset=offset)


async def _check_same_log(connection: Any, part: Path, place: _Place, head: Any) -> None:
    header = place.header
    if header.epoch != head["epoch"] or header.upto > head["position"]:
        raise CannotResume(
            f"{part} is of a log up to position {header.upto} of epoch {header.epoch}, this one is at "
            f"{head['position']} of epoch {head['epoch']}: delete it and begin anew"
        )
    if place.offset:
        with part.open("rb") as file:
            file.seek(place.offset)
            there = file.readline()
        row = await connection.fetchrow(QUERIES["events"], place.position, place.position + 1, 1)
        if row is None or Seal(place.digest).line(Recorded(*row)) != there:
            raise CannotResume(f"{part} holds other events than this log: delete it and begin anew")
