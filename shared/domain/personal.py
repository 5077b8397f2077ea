"""Which fields say something about a person, and about whom.

Marked fields pass through one codec on their way into the log (`shared.codec`), so that encrypting them with a key
of the person, and forgetting that person by destroying the key, concerns the codec alone. What is read is emptied of
them as well (`erased`): of a contact who was forgotten, ids, times and states stay.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Final, TypeVar

from pydantic import BaseModel, GetJsonSchemaHandler
from pydantic_core import CoreSchema

Body = TypeVar("Body", bound=BaseModel)
FORGOTTEN: Final = "(forgotten)"
"""What stands in place of a text that an event can't be without."""


@dataclass(frozen=True, slots=True)
class Personal:
    """Marks a field: `name: Annotated[str, Personal("contact")]` is about the contact of the event.

    `about` is `"seeker"`, `"contact"` (each of the event's contacts), `"coach"`, or `"new_contact"`: whom a lead is
    about, who is a contact once it came to something, or a conversation was planned or an introduction made through it.
    """

    about: str

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Readers of the published schemas learn it, too: by the keyword `x-personal`."""
        return {**handler(schema), "x-personal": self.about}


@cache
def personal_fields(model: type[BaseModel]) -> dict[str, str]:
    """Field name → whom it is about, for the marked fields of `model`."""
    return {
        name: mark.about
        for name, info in model.model_fields.items()
        for mark in info.metadata
        if isinstance(mark, Personal)
    }


def told_about(body: BaseModel, about: str) -> list[str]:
    """The fields of `body` that say something about a person, in fact and not only by their type."""
    return [name for name, whom in personal_fields(type(body)).items() if whom == about and getattr(body, name)]


def erased(body: Body, about: str) -> Body:
    """`body` without what it says about a person."""
    told = told_about(body, about)
    if not told:
        return body
    return body.model_copy(update={name: _nothing(type(body), name) for name in told})


def _nothing(model: type[BaseModel], name: str) -> Any:
    info = model.model_fields[name]
    return FORGOTTEN if info.is_required() else info.get_default(call_default_factory=True)
