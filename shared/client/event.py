"""An event as a handler gets it."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from shared.client.failures import NotACloudEvent, Park

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class CloudEvent:
    """One event of the log: the attributes of its CloudEvents envelope, converted, and its payload."""

    id: UUID
    position: int
    """Place in the whole log."""
    previous: int
    """Position before it on its partition."""
    epoch: int
    """Timeline of the log."""
    tenant: str
    category: str
    type: str
    """Such as `interview.held`: without prefix and schema version."""
    version: int
    """Schema version of `data`."""
    subject: UUID
    """Id of its stream."""
    stream_version: int
    """Place in its stream."""
    time: datetime
    """When it happened."""
    recorded_at: datetime
    actor: str
    command_id: UUID
    correlation_id: UUID
    causation_id: UUID
    data: Mapping[str, Any]

    @property
    def routing_key(self) -> str:
        return f"{self.tenant}.{self.type}"

    def read(self, model: builtins.type[M]) -> M:
        """The payload as a pydantic model. Raises `Park` (`unexpected_data`) when it is not of that shape."""
        try:
            return model.model_validate(self.data)
        except ValidationError as error:
            raise Park("unexpected_data", f"{self.type} is not a {model.__name__}: {error}") from None


def parse(body: bytes) -> CloudEvent:
    """Raises `NotACloudEvent`, naming what is wrong."""
    try:
        document = from_json(body)
    except ValueError as error:
        raise NotACloudEvent("not_json", str(error)) from None
    if not isinstance(document, dict) or document.get("specversion") != "1.0":
        raise NotACloudEvent("not_a_cloudevent", "it is not a JSON object with specversion 1.0")
    type_, version = _type(_read(document, "type", _text))
    return CloudEvent(
        id=_read(document, "id", UUID),
        position=_read(document, "position", _number),
        previous=_read(document, "previous", _number),
        epoch=_read(document, "epoch", _number),
        tenant=_read(document, "tenant", _text),
        category=_read(document, "category", _text),
        type=type_,
        version=version,
        subject=_read(document, "subject", UUID),
        stream_version=_read(document, "streamversion", _number),
        time=_read(document, "time", _instant),
        recorded_at=_read(document, "recordedat", _instant),
        actor=_read(document, "actor", _text),
        command_id=_read(document, "commandid", UUID),
        correlation_id=_read(document, "correlationid", UUID),
        causation_id=_read(document, "causationid", UUID),
        data=_read(document, "data", _object),
    )


def _read(document: Mapping[str, Any], name: str, convert: Callable[[Any], Any]) -> Any:
    try:
        return convert(document[name])
    except KeyError:
        raise NotACloudEvent("not_a_cloudevent", f"{name} is missing") from None
    except (ValueError, TypeError, AttributeError):
        raise NotACloudEvent("not_a_cloudevent", f"{name} is {document[name]!r:.200}") from None


def _type(type_: str) -> tuple[str, int]:
    prefix, _, rest = type_.partition(".")
    name, _, version = rest.rpartition(".v")
    if prefix != "kithlog" or "." not in name or not (version.isascii() and version.isdigit()):
        raise NotACloudEvent("not_a_cloudevent", f"type is {type_!r:.200}, not kithlog.<category>.<event>.v<version>")
    return name, int(version)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _number(value: Any) -> int:
    if isinstance(value, bool | float):
        raise TypeError
    number = int(value)
    if number < 0:
        raise ValueError
    return number


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError
    return value


def _instant(value: Any) -> datetime:
    instant = datetime.fromisoformat(value)
    if instant.tzinfo is None:
        raise ValueError
    return instant
