"""Which fields say something about a person, and about whom.

Marked fields pass through one codec on their way into the log (`shared.codec`), so that encrypting them with a key
of the person, and forgetting that person by destroying the key, concerns the codec alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, GetJsonSchemaHandler
from pydantic_core import CoreSchema


@dataclass(frozen=True, slots=True)
class Personal:
    """Marks a field: `name: Annotated[str, Personal("contact")]` is about the contact of the event.

    `about` is `"seeker"`, `"contact"`, `"coach"` or the name of a field of the event that holds a person's id.
    """

    about: str

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Readers of the published schemas learn it, too: by the keyword `x-personal`."""
        return {**handler(schema), "x-personal": self.about}


def personal_fields(model: type[BaseModel]) -> dict[str, str]:
    """Field name → whom it is about, for the marked fields of `model`."""
    return {
        name: mark.about
        for name, info in model.model_fields.items()
        for mark in info.metadata
        if isinstance(mark, Personal)
    }


__all__ = ["Annotated", "Personal", "personal_fields"]
