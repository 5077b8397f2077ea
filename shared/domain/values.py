"""The types that events and commands of several categories are made of.

All are bounded: what a caller may send is what the log must hold for ever. Personal marks stand at the
fields, not here, since whom a value is about depends on the event.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime, time
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
)

from shared.faults import form
from shared.zones import zone

NO_NUL: Final = form(r"^[^\x00]*$", "a text without NUL (U+0000)")
"""PostgreSQL can't hold NUL in text; lone surrogates are refused by pydantic itself."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=NO_NUL)]
"""Of a person, employer, field, place: one line."""
Text = Annotated[str, StringConstraints(min_length=1, max_length=2_000, pattern=NO_NUL)]
"""A few sentences."""
Note = Annotated[str, StringConstraints(min_length=1, max_length=20_000, pattern=NO_NUL)]
"""Some pages."""
_SLUG = form(r"^[a-z][a-z0-9_.]{0,63}$", "at most 64 small letters, digits, _ and ., a letter first, such as thank_you")
Slug = Annotated[str, StringConstraints(pattern=_SLUG)]
"""A name that software uses, such as a policy's."""
TENANT: Final = form(
    r"^[a-z0-9][a-z0-9-]{0,62}$", "at most 63 small letters, digits and hyphens, no hyphen first, such as career-centre"
)
"""How a tenant may be called."""
FROM_CALLER: Final = "from a caller"
"""The context in which commands are validated that somebody sends. What is recorded is read without it."""
_SPACE_TO_SOME = re.compile("[\x1c-\x1f\ufeff]")


def _same_to_all(text: str, info: ValidationInfo) -> str:
    r"""Refuse from callers what is white space to some: `\s` of a published pattern means more to Python and to
    ECMAScript than to pydantic, and what one of them refuses must not come to be recorded.
    """
    if info.context == FROM_CALLER and (found := _SPACE_TO_SOME.search(text)):
        raise ValueError(f"the invisible character U+{ord(found[0]):04X} is not taken")
    return text


def _no_blank(text: str, info: ValidationInfo) -> str:
    """Refuse from callers what is nothing but white space. Of a command's own texts it is cut off before they are
    measured; `Command` does not say so of what is nested in it, which its event holds as well."""
    if info.context == FROM_CALLER and not text.strip():
        raise ValueError("white space alone says nothing")
    return text


NO_BLANK: Final = AfterValidator(_no_blank)
"""Marks the texts of what is nested in commands."""

Email = Annotated[
    str,
    StringConstraints(
        max_length=320, pattern=form(r"^[^@\s\x00]+@[^@\s\x00]+$", "an e-mail address, such as ana@example.org")
    ),
    AfterValidator(_same_to_all),
]
_PHONE = form(r"^[0-9+()/., x#*-]{3,40}$", "a telephone number of 3 to 40 characters, such as +351 21 000 0000")
Phone = Annotated[str, StringConstraints(max_length=40, pattern=_PHONE)]
Url = Annotated[
    str,
    StringConstraints(
        max_length=2_000, pattern=form(r"^https?://[^\s\x00]+$", "an address, such as https://example.org/ana")
    ),
    AfterValidator(_same_to_all),
]


def emptied(type: Any) -> WrapValidator:
    """Marks a detail that a correction takes back with an empty text, beside what its type takes.

    As a choice of types it would be answered with what is wrong by each of them.
    """
    return WrapValidator(_empty_or_valid, json_schema_input_type=type | Literal[""] | None)


def _empty_or_valid(value: Any, valid: ValidatorFunctionWrapHandler) -> Any:
    return value if value == "" else valid(value)


_COUNTRY = form(r"^[A-Z]{2}$", "the two capital letters of a country (ISO 3166-1), such as PT")
Country = Annotated[str, StringConstraints(pattern=_COUNTRY)]
"""ISO 3166-1 alpha-2; decides the public holidays."""
_LOCALE = form(r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$", "a language tag (BCP 47), such as pt-PT")
Locale = Annotated[str, StringConstraints(max_length=35, pattern=_LOCALE)]
"""BCP 47 language tag."""


def _written_out(value: Any) -> Any:
    """Pydantic takes numbers for seconds since 1970: a mistyped year would become a time of that year."""
    if isinstance(value, int | float) or (isinstance(value, str) and ":" not in value and "-" not in value[1:]):
        raise ValueError("dates and times are written out, such as 2026-03-01T10:00:00Z, 2026-03-01 or 10:00")
    return value


EARLIEST: Final = datetime(1900, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)
Instant = Annotated[
    AwareDatetime,
    Field(ge=EARLIEST, le=LATEST),
    BeforeValidator(_written_out),
]
Day = Annotated[date, Field(ge=date(1900, 1, 1), le=date(2200, 1, 1)), BeforeValidator(_written_out)]
TimeOfDay = Annotated[
    time,
    BeforeValidator(_written_out),
    # As answers show it: the format `time` has an offset from UTC.
    WithJsonSchema({"type": "string", "examples": ["21:00:00"]}, mode="serialization"),
]
Minutes = Annotated[int, Field(ge=1, le=600)]
CadenceDays = Annotated[int, Field(ge=7, le=730)]
"""Days from one touch to the next; 30, 60, 90 and 180 are the usual ones."""
Capacity = Annotated[int, Field(ge=0, le=100)]
"""Requests that a contact is willing to get in a calendar month."""
Rating = Annotated[int, Field(ge=1, le=5)]


def _known_zone(name: str) -> str:
    if zone(name) is None:
        raise ValueError(f"{name!r} is not a time zone of the IANA database, such as Europe/Lisbon")
    return name


_ZONE = form(r"^[A-Za-z][A-Za-z0-9_+/-]*$", "a time zone of the IANA database, such as Europe/Lisbon")
ZoneName = Annotated[str, StringConstraints(max_length=64, pattern=_ZONE)]
"""A time zone as events hold it: reading the log must not depend on the zones that a release knows."""
Zone = Annotated[ZoneName, AfterValidator(_known_zone)]
"""A time zone as commands take it: an IANA name that is known here."""

Stage = Literal["student", "graduate", "career_changer", "laid_off", "employed", "returning", "other"]
Source = Literal[
    "referral",
    "alumni_network",
    "social_network",
    "professional_association",
    "event",
    "already_known",
    "programme_directory",
    "cold",
]
Purpose = Literal["field", "company", "role", "field_of_study"]
Channel = Literal["email", "phone", "social_network", "in_person", "letter", "coach", "other"]
MeetingFormat = Literal["in_person", "coffee", "phone", "video"]
Format = Literal["in_person", "coffee", "phone", "video", "email"]
"""An e-mail interview has no start time."""
Party = Literal["seeker", "contact"]
AskedBy = Literal["seeker", "contact", "other"]
Verdict = Literal["pursue", "keep_exploring", "not_for_me"]
OutcomeKind = Literal[
    "found_job",
    "found_internship",
    "began_studies",
    "changed_field",
    "changed_role",
    "stopped_looking",
    "other",
]
TouchpointKind = Literal[
    "progress_update",
    "advice_used",
    "guidance_asked",
    "good_wishes",
    "posting_mentioned",
    "thanks",
    "met",
    "other",
]
ThankYouKind = Literal["email", "handwritten_note", "other"]
LeadKind = Literal["referral", "promised_introduction", "job_opening", "resource", "advice"]
ResourceKind = Literal[
    "blog", "account", "publication", "association", "book", "podcast", "course", "event", "website", "other"
]
AdviceAbout = Literal["skills", "education", "experience"]


def _small(settings: dict[str, Any]) -> dict[str, Any]:
    """Refuse what the log or the database could not hold, in keys and values however deep."""
    text = json.dumps(settings, allow_nan=False)
    if len(text) > 10_000:
        raise ValueError("settings of more than 10 000 characters are not taken")
    if "\\u0000" in text or ("\\ud" in text and not _encodable(settings)):
        raise ValueError("NUL and lone surrogates are not taken")
    return settings


def _encodable(settings: dict[str, Any]) -> bool:
    try:
        json.dumps(settings, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


Settings = Annotated[dict[Slug, dict[Slug, JsonValue]], AfterValidator(_small)]
"""Name → setting → value, the values being checked by whoever knows what may be set."""


class Details(BaseModel):
    """Fields that a command and its event share, declared once; also the parts nested in them."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


def said(body: BaseModel) -> dict[str, Any]:
    """The fields by name, unconverted: what an event takes over from its command."""
    return {name: getattr(body, name) for name in type(body).model_fields}


class Resource(Details):
    """Something to read, follow or join (S1, S3)."""

    kind: ResourceKind
    """What it is."""
    title: Annotated[Name, NO_BLANK]
    url: Url | None = None
    """Where it is found."""


class Hours(Details):
    """From one local time of day to another; an end before the start is on the next day."""

    start: TimeOfDay
    """By the clock of whoever has them, such as 21:30."""
    end: TimeOfDay
    """Likewise, such as 08:00."""
