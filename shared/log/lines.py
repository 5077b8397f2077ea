"""The log as lines of text: one JSON object each, every line sealed with a sum over itself and all lines before it.

| line | members after `sum` |
|---|---|
| first | `kithlog`: `log`, `format`: 2, `upto`: its last position, `epoch`: of the log |
| event | the envelope's fields, then `data`, byte for byte as the log stores it |
| receipt | `receipt`: the first answer to a command whose last event is the one before it |
| discard | `discarded`: an event that folding goes on without, by an operator's decision; behind the last event |
| last | `end`: the last position, `events`, `receipts` and `discarded`: how many lines there were of each |

Format 1, which is read as well, has no discards.

`sum` is BLAKE2b (16 bytes, hexadecimal) over the previous line's digest and the line's own bytes after `"sum":"…",`.
A line that was changed, left out, added or moved is therefore found, and so is a file that was cut off. Nothing is
signed: who can write the whole file can seal it anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any, BinaryIO
from uuid import UUID

from pydantic_core import from_json

from shared.envelope import Recorded

FORMAT = 2
_SIZE = 16
_OPEN, _SHUT = b'{"sum":"', b'",'
_START = len(_OPEN) + 2 * _SIZE + len(_SHUT)
_DATA = b',"data":'


class Damaged(Exception):
    """The file is not as it was written. `line` counts from 1."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(f"line {line}: {what}")
        self.line, self.what = line, what


class Truncated(Damaged):
    """All lines that are there are as they were written, but the file does not end with its last line."""


@dataclass(frozen=True, slots=True)
class Header:
    upto: int
    epoch: int
    format: int = FORMAT


@dataclass(frozen=True, slots=True)
class KeptReceipt:
    """A row of log.receipt."""

    tenant: str
    command_id: UUID
    fingerprint: bytes
    position: int
    events: int
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Discarded:
    """A row of read.discarded."""

    tenant: str
    event_id: UUID
    stream_id: UUID
    position: int
    discarded_at: datetime


@dataclass(frozen=True, slots=True)
class Trailer:
    end: int
    events: int
    receipts: int
    discarded: int = 0


Content = Header | Recorded[bytes] | KeptReceipt | Discarded | Trailer


@dataclass(frozen=True, slots=True)
class Line:
    number: int
    offset: int
    """Where it begins in the file, in bytes."""
    size: int
    before: bytes
    """Digest of all lines before it."""
    digest: bytes
    content: Content


class Seal:
    """Seals one line after the other. `digest` stands for all so far."""

    def __init__(self, digest: bytes = b"") -> None:
        self.digest = digest

    def line(self, content: Content) -> bytes:
        """The sealed line, with its line end. Raises `ValueError` for an event whose payload has a line end in it."""
        body = _body(content)
        self.digest = _digest(self.digest, body)
        return b"".join((_OPEN, self.digest.hex().encode(), _SHUT, body, b"\n"))


def _digest(before: bytes, body: bytes) -> bytes:
    return blake2b(before + body, digest_size=_SIZE).digest()


def _body(content: Content) -> bytes:
    match content:
        case Recorded():
            return _event_body(content)
        case KeptReceipt():
            receipt = {
                "tenant": content.tenant,
                "command_id": str(content.command_id),
                "fingerprint": content.fingerprint.hex(),
                "position": content.position,
                "events": content.events,
                "recorded_at": content.recorded_at.isoformat(),
            }
            return b'"receipt":%b}' % json.dumps(receipt, separators=(",", ":")).encode()
        case Discarded():
            return b'"discarded":%b}' % json.dumps(asdict(content), separators=(",", ":"), default=str).encode()
        case Header():
            return b'"kithlog":"log","format":%d,"upto":%d,"epoch":%d}' % (content.format, content.upto, content.epoch)
        case Trailer():
            end = (content.end, content.events, content.receipts, content.discarded)
            return b'"end":%d,"events":%d,"receipts":%d,"discarded":%d}' % end


def _event_body(e: Recorded[bytes]) -> bytes:
    if b"\n" in e.data or b"\r" in e.data:
        raise ValueError(f"the payload at position {e.position} is not one line of JSON")
    head = (
        f'"position":{e.position},"epoch":{e.epoch},"tenant":{json.dumps(e.tenant)},"category":{json.dumps(e.category)},'
        f'"stream_id":"{e.stream_id}","version":{e.version},"event_id":"{e.event_id}","type":{json.dumps(e.type)},'
        f'"schema_version":{e.schema_version},"occurred_at":"{e.occurred_at.isoformat()}",'
        f'"recorded_at":"{e.recorded_at.isoformat()}","actor":{json.dumps(e.actor)},"command_id":"{e.command_id}",'
        f'"correlation_id":"{e.correlation_id}","causation_id":"{e.causation_id}"'
    )
    return b"".join((head.encode(), _DATA, e.data, b"}"))


def read_lines(file: BinaryIO) -> Iterator[Line]:
    """Every line, checked. Raises `Damaged`, for a file that ends early `Truncated`, in both cases naming the line."""
    digest, offset, number, position, events, receipts, discarded = b"", 0, 0, 0, 0, 0, 0
    header: Header | None = None
    trailer: Trailer | None = None
    for raw in file:
        number += 1
        if trailer is not None:
            raise Damaged(number, "there is something after the last line")
        if not raw.endswith(b"\n"):
            raise Truncated(number, "the file ends in the middle of the line")
        before, digest = digest, _check_sum(number, raw, digest)
        content = _content(number, raw)
        match content:
            case Header():
                if number > 1:
                    raise Damaged(number, "a second first line")
                header = content
            case _ if header is None:
                raise Damaged(number, "the file does not begin with the first line of an export")
            case Recorded():
                if content.position != position + 1 or content.position > header.upto:
                    raise Damaged(number, f"position {content.position} after {position}")
                position, events = content.position, events + 1
            case KeptReceipt():
                if content.position != position:
                    raise Damaged(number, f"a receipt for position {content.position} after the event at {position}")
                receipts += 1
            case Discarded():
                if position != header.upto or not 1 <= content.position <= position:
                    raise Damaged(number, f"a discard of position {content.position} after the event at {position}")
                discarded += 1
            case Trailer():
                trailer = content
                if trailer != (there := Trailer(position, events, receipts, discarded)):
                    raise Damaged(number, f"tells of {trailer}, there was {there}")
                if trailer.end != header.upto:
                    raise Damaged(number, f"ends at position {trailer.end}, announced were {header.upto}")
        yield Line(number, offset, len(raw), before, digest, content)
        offset += len(raw)
    if trailer is None:
        raise Truncated(number + 1, "the file ends before its last line")


def _check_sum(number: int, raw: bytes, before: bytes) -> bytes:
    if not raw.startswith(_OPEN) or raw[_START - len(_SHUT) : _START] != _SHUT:
        raise Damaged(number, "not a line of an export")
    digest = _digest(before, raw[_START:-1])
    if raw[len(_OPEN) : _START - len(_SHUT)] != digest.hex().encode():
        raise Damaged(number, "its sum is wrong: it was changed, or a line before it was left out or moved")
    return digest


def _content(number: int, raw: bytes) -> Content:
    try:
        fields = from_json(raw)
        if "receipt" in fields:
            return _receipt(fields["receipt"])
        if "kithlog" in fields:
            if fields["format"] not in (1, FORMAT):
                raise Damaged(number, f"format {fields['format']} is not known to this release")
            return Header(int(fields["upto"]), int(fields["epoch"]), int(fields["format"]))
        if "end" in fields:
            counts = (int(fields["events"]), int(fields["receipts"]), int(fields.get("discarded", 0)))
            return Trailer(int(fields["end"]), *counts)
        if "discarded" in fields:
            return _discarded(fields["discarded"])
        return _event(fields, raw.partition(_DATA)[2][:-2])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Damaged(number, f"can't be read: {type(error).__name__}: {error}") from None


def _event(fields: dict[str, Any], data: bytes) -> Recorded[bytes]:
    return Recorded(
        position=fields["position"],
        epoch=fields["epoch"],
        tenant=fields["tenant"],
        category=fields["category"],
        stream_id=UUID(fields["stream_id"]),
        version=fields["version"],
        event_id=UUID(fields["event_id"]),
        type=fields["type"],
        schema_version=fields["schema_version"],
        occurred_at=datetime.fromisoformat(fields["occurred_at"]),
        recorded_at=datetime.fromisoformat(fields["recorded_at"]),
        actor=fields["actor"],
        command_id=UUID(fields["command_id"]),
        correlation_id=UUID(fields["correlation_id"]),
        causation_id=UUID(fields["causation_id"]),
        data=data,
    )


def _receipt(fields: dict[str, Any]) -> KeptReceipt:
    return KeptReceipt(
        fields["tenant"],
        UUID(fields["command_id"]),
        bytes.fromhex(fields["fingerprint"]),
        fields["position"],
        fields["events"],
        datetime.fromisoformat(fields["recorded_at"]),
    )


def _discarded(fields: dict[str, Any]) -> Discarded:
    return Discarded(
        fields["tenant"],
        UUID(fields["event_id"]),
        UUID(fields["stream_id"]),
        fields["position"],
        datetime.fromisoformat(fields["discarded_at"]),
    )
