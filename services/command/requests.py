"""What a command takes from an HTTP request besides its fields: path, query, headers, and bytes within bounds."""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from shared.domain.identity import relationship_id
from shared.ids import command_id_of, new_id
from shared.operations.problems import Problem, ProblemError, malformed_header

TAKEN = {b"idempotency-key": "Idempotency-Key", b"if-match": "If-Match", b"x-actor": "X-Actor"}
IN_MESSAGE = {"Idempotency-Key": "command_id", "If-Match": "expected_version", "X-Actor": "actor"}
"""What a message carries in itself instead."""
PLACES = {
    "tenant": "path.tenant",
    "id": "path.id",
    "occurred_at": "query.occurred_at",
    "actor": "header.X-Actor",
}
"""Field of the envelope → where a request carries it."""
LATEST_VERSION = 2**31 - 1
KEY = r"^[\x21-\x7e]{1,200}$"
"""An Idempotency-Key: visible ASCII characters."""

_VERSION = re.compile(r'^(?:"(\d{1,10})"|(\d{1,10}))$')
_KEY = re.compile(KEY)
_LOST_PLUS = re.compile(r"(?<=\d) (?=\d\d:?\d\d$)")
_DAY_FIRST = re.compile(r"^\d{4}-\d\d-\d\d")


def envelope_fields(scope: Scope, tenant: str, id: str) -> dict[str, Any]:
    """The envelope's fields but `command` and `data`, from path, query and headers; not validated yet.

    Raises `ProblemError` for headers that can't be read and for query parameters that are not known.
    """
    headers = _headers(scope)
    fields: dict[str, Any] = {
        "tenant": tenant,
        "id": _stream_id(id),
        "command_id": _command_id(headers.get("Idempotency-Key"), tenant),
        "correlation_id": scope["correlation_id"],
    }
    if "X-Actor" in headers:
        fields["actor"] = headers["X-Actor"]
    if "If-Match" in headers:
        fields["expected_version"] = _version(headers["If-Match"])
    if scope["query_string"]:
        fields["occurred_at"] = _occurred_at(scope["query_string"])
    return fields


def _headers(scope: Scope) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        if name in TAKEN:
            known = TAKEN[name]
            if known in found:
                raise malformed_header(known, "is there twice", "send it once")
            found[known] = value.decode("latin-1").strip()
    return found


def _stream_id(id: str) -> Any:
    """A relationship may be named by its two ends, `<seeker>:<contact>`, instead of the id that follows from them."""
    seeker, colon, contact = id.partition(":")
    if colon:
        try:
            return relationship_id(UUID(seeker), UUID(contact))
        except ValueError:
            return id
    return id


def _command_id(key: str | None, tenant: str) -> UUID:
    if key is None:
        return new_id()
    if len(key) > 2 and key[0] == key[-1] == '"':
        key = key[1:-1]
    if not _KEY.match(key):
        raise malformed_header(
            "Idempotency-Key", "is not 1 to 200 visible ASCII characters", "send a UUID, new for each command"
        )
    try:
        return UUID(key)
    except ValueError:
        # Event ids follow from it: those of two tenants that both count 1, 2, 3 need not be the same. (They may be, as
        # with one UUID in both: no one but `source` and id together says which event it is.)
        return command_id_of(f"{tenant} {key}")


def _version(value: str) -> int:
    match = _VERSION.match(value)
    version = int(match[1] or match[2]) if match else -1
    if not 0 <= version <= LATEST_VERSION:
        raise malformed_header(
            "If-Match",
            "is not a version",
            'send the stream\'s version as the answer\'s ETag gave it, such as "3"; "0" for one that must be new',
        )
    return version


def _occurred_at(query: bytes) -> str:
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    unknown = [name for name, _ in pairs if name != "occurred_at"]
    if unknown or len(pairs) != 1:
        name = unknown[0] if unknown else "occurred_at"
        raise ProblemError(
            Problem(
                422,
                "unknown_parameter" if unknown else "repeated_parameter",
                f"query parameter {name!r} is {'not known' if unknown else 'there more than once'}",
                "the only one is occurred_at: when it happened, such as 2026-03-01T10:00:00Z",
                f"query.{name}",
            )
        )
    # A + that was not percent-encoded arrives as a space.
    value = _LOST_PLUS.sub("+", pairs[0][1])
    # Else a year alone would pass for seconds since 1970.
    return value if _DAY_FIRST.match(value) else f"not a date: {value}"


def require_all_in_messages(scope: Scope) -> None:
    """Raises `ProblemError` for headers and query parameters that say of a command what its message has to say."""
    for name in _headers(scope):
        raise malformed_header(name, "is not for messages", f"say it in the message, as {IN_MESSAGE[name]}")
    for name, _ in parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True):
        raise ProblemError(
            Problem(
                422,
                "unknown_parameter",
                f"query parameter {name!r} is not known",
                "a message carries all in itself, occurred_at, too",
                f"query.{name}",
            )
        )


def require_uncompressed(scope: Scope) -> None:
    """Raises `ProblemError` for a body in a content coding."""
    for name, value in scope["headers"]:
        if name == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
            raise ProblemError(
                Problem(
                    415,
                    "encoded_body",
                    f"the body is said to be {value.decode('latin-1')!r}",
                    "send it as it is, without Content-Encoding",
                    "header.Content-Encoding",
                )
            )


async def read_body(scope: Scope, receive: Receive, *, limit: int) -> bytes:
    """The whole body. Raises `ProblemError` as soon as it is longer than `limit` bytes, `ClientDisconnect`."""
    _require_json(scope)
    require_uncompressed(scope)
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise too_large(limit)
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts).removeprefix(BOM_UTF8)


def _require_json(scope: Scope) -> None:
    for name, value in scope["headers"]:
        if name == b"content-type":
            kind = value.partition(b";")[0].strip().lower()
            if kind != b"application/json" and not kind.endswith(b"+json"):
                raise ProblemError(
                    Problem(
                        415,
                        "not_json",
                        f"the body is said to be {kind.decode('latin-1')!r}",
                        "send JSON with Content-Type: application/json",
                        "header.Content-Type",
                    )
                )
            return


def too_large(limit: int) -> ProblemError:
    return ProblemError(
        Problem(
            413,
            "body_too_large",
            f"the body has more than {limit} bytes",
            f"send at most {limit} bytes; many commands go to /v1/commands/bulk, one per line",
            headers={"Connection": "close"},  # the rest is not read
        )
    )
