"""A command as it travels: over HTTP, over AMQP and as a line of an import, always in this shape."""

from __future__ import annotations

import re
from functools import cache
from typing import Annotated, Any, Literal, Union
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, create_model

from shared.domain.catalogue import COMMANDS
from shared.domain.kernel import Command, Stream
from shared.domain.values import TENANT, Instant
from shared.faults import form

Tenant = Annotated[str, Field(pattern=TENANT, description="The career centre, programme or platform it belongs to.")]
_ACTOR = form(r"^[A-Za-z0-9._:@-]{1,120}$", "1 to 120 letters, digits and . _ : @ -, such as coach:7")
Actor = Annotated[str, Field(pattern=_ACTOR)]


class CommandEnvelope(BaseModel):
    """One command for one stream of one tenant."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    command: str
    """Which one, such as `interview.send_request`."""
    tenant: Tenant
    id: UUID
    """The stream it is for: the interview's id, the contact's …; new for a command that creates one. A relationship's
    follows from whom it is between: the UUIDv5 of `<seeker's id>:<contact's id>`, in lower case, in the namespace
    `6c1d1f0e-6a3b-5d55-9a0b-7b0f5f5f3a01`."""
    command_id: UUID
    """Repeating a command with the same id gives the first answer again."""
    data: Any
    """The command's body; its fields depend on `command`."""
    occurred_at: Instant | None = None
    """When it happened outside; now, unless told, and if it is said to be a little ahead of now: clocks differ."""
    actor: Actor = "unknown"
    """Who asks for it, such as `seeker:<id>` or `coach:<id>`."""
    expected_version: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None
    """Refuse unless the stream has this version (0: does not exist yet)."""
    correlation_id: UUID | None = None
    """Ties together all that follows from one first cause."""
    causation_id: UUID | None = None
    """The command or event that directly caused it."""

    @property
    def stream(self) -> Stream:
        return Stream(COMMANDS[self.command].category, self.id)


def message_model(command: type[Command]) -> type[CommandEnvelope]:
    """The envelope with `data` of exactly this command: what validates a message and describes it in schemas."""
    command_field, data_field = (
        Field(description=CommandEnvelope.model_fields[name].description) for name in ("command", "data")
    )
    return create_model(
        # Of the whole type: several categories have a command of the same name, such as correct_details.
        "".join(part.capitalize() for part in re.split(r"[._]", command.type)) + "Message",
        __base__=CommandEnvelope,
        __doc__=command.__doc__,
        command=(Literal[command.type], command_field),  # type: ignore[arg-type]  # built at run time
        data=(command, data_field),
    )


@cache
def command_messages() -> TypeAdapter[CommandEnvelope]:
    """Parses a command message of any kind. Raises pydantic's `ValidationError`, naming the field."""
    models = tuple(message_model(command) for command in COMMANDS.values())
    union = Union[models]  # type: ignore[valid-type] # noqa: UP007 - built at run time
    return TypeAdapter(Annotated[union, Field(discriminator="command")])
