"""Whom a coach may propose to a participant."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from services.projector.models import CONTACTS, PARTICIPANTS
from services.projector.models.participant import ParticipantRow
from services.projector.queries.candidates import find_candidates
from services.projector.queries.reader import Page, Reader
from shared.domain import contact, programme, relationship, seeker
from shared.domain.kernel import Event, On
from shared.operations.turns import AT_ONCE
from tests.domain.scenario import ADDED, ANA, BEN, CLEO, COACH, NOW, OTHER_SEEKER, PROGRAMME, REGISTERED, SEEKER, on
from tests.models.history import happened, row
from tests.queries.conftest import TENANT, Library
from tests.turns import with_turns

CANDIDATES = f"{TENANT}/programmes/{PROGRAMME}/participants/{SEEKER}/candidates"
MONTH = "2026-11"
"""Of the tests' present."""
ENROLLED = (
    REGISTERED.model_copy(update={"fields": ("Marketing", "Publishing")}),
    programme.Created(title="Autumn", fields=("Nursing",)),
    programme.ParticipantEnrolled(seeker_id=SEEKER, coach_id=COACH),
)


def willing(id: UUID, *fields: str, capacity: int = 3, **details: Any) -> list[On]:
    """A contact of these fields who offered hours."""
    added = ADDED.model_copy(update={"fields": fields, **details})
    return [on("contact", id, added), on("contact", id, contact.HoursOffered(capacity=capacity, formats=("coffee",)))]


def asked(id: UUID, month: str = MONTH, times: int = 1) -> list[On]:
    """So many of the contact's places taken."""
    return [
        on("contact", id, contact.Asked(seeker_id=OTHER_SEEKER, interview_id=UUID(int=number), month=month))
        for number in range(times)
    ]


def proposed(id: UUID, seeker_id: UUID = SEEKER) -> programme.MatchProposed:
    return programme.MatchProposed(seeker_id=seeker_id, contact_id=id, coach_id=COACH)


async def found(library: Library, *history: Event | On, **query: Any) -> list[dict[str, Any]]:
    await library.fold(happened(*ENROLLED, *history))
    items: list[dict[str, Any]] = (await library.get(CANDIDATES, **query))["items"]
    return items


def ids(items: Iterable[dict[str, Any]]) -> list[UUID]:
    return [UUID(item["contact"]["contact_id"]) for item in items]


async def test_a_candidate_says_why(library: Library) -> None:
    """Given a willing contact of the participant's field with one of three places taken, then all reasons are told."""
    history = [*willing(ANA, "Law", "digital MARKETING"), *asked(ANA), *asked(ANA, "2026-12", 3)]
    assert await found(library, *history) == [
        {
            "contact": {"contact_id": str(ANA), "name": "Ana Reis", "employer": None, "position": None},
            "field": "digital MARKETING",
            "wanted": "Marketing",
            "fit": "related",
            "month": MONTH,
            "free": 2,
            "willing": "hours_offered",
            "formats": ["coffee"],
            "acquainted": False,
            "awaiting": 0,
        }
    ]


async def test_only_who_is_willing_free_and_of_the_field(library: Library) -> None:
    """Given contacts who each lack one thing, then none of them is proposed; who offers hours anew, is."""
    others = [UUID(int=0xF0 + number) for number in range(7)]
    unwilling, busy, elsewhere, quiet, forgotten, closed, anew = others
    history = [
        on("contact", unwilling, ADDED.model_copy(update={"fields": ("Marketing",), "seeker_id": OTHER_SEEKER})),
        *willing(busy, "Marketing", capacity=2),
        *asked(busy, times=2),
        *willing(elsewhere, "Law"),
        *willing(quiet, "Marketing"),
        on("contact", quiet, contact.AskedNotToBeContacted()),
        *willing(forgotten, "Marketing"),
        on("contact", forgotten, contact.Forgotten()),
        *willing(closed, "Marketing", capacity=0),
        *willing(anew, "Marketing"),
        on("contact", anew, contact.AskedNotToBeContacted()),
        on("contact", anew, contact.HoursOffered(capacity=1)),
    ]
    assert ids(await found(library, *history)) == [anew]


async def test_who_stands_in_the_directory_is_willing(library: Library) -> None:
    """Given a contact of the programme's directory whose capacity nobody named, then no limit is known."""
    listed = ADDED.model_copy(update={"fields": ("Publishing",), "source": "programme_directory"})
    [only] = await found(library, on("contact", ANA, listed))
    assert (only["willing"], only["free"], only["fit"]) == ("programme_directory", None, "exact")


async def test_nobody_is_proposed_twice(library: Library) -> None:
    """Given contacts who are proposed, accepted or turned down, then only those of other participants are left."""
    one, two, three = (
        programme.MatchAccepted(seeker_id=SEEKER, contact_id=BEN, coach_id=COACH),
        programme.MatchTurnedDown(seeker_id=SEEKER, contact_id=CLEO, coach_id=COACH),
        UUID(int=0xD4),
    )
    people = [event for id in (ANA, BEN, CLEO, three) for event in willing(id, "Marketing")]
    matches = [proposed(ANA), proposed(BEN), one, proposed(CLEO), two, proposed(three, OTHER_SEEKER)]
    second = programme.ParticipantEnrolled(seeker_id=OTHER_SEEKER, coach_id=COACH)
    [only] = await found(library, second, *people, *matches)
    assert (ids([only]), only["awaiting"]) == ([three], 1)


async def test_the_best_come_first(library: Library) -> None:
    """Given several who fit, then an exact field comes before newness, that before free places, and those before
    proposals that nobody has answered."""
    related, known, one_left, waiting, best = (UUID(int=0xF0 + number) for number in range(5))
    tie = relationship.TouchpointRecorded(seeker_id=SEEKER, contact_id=known, kind="met", channel="in_person")
    history: list[Event | On] = [
        *willing(related, "Content marketing", capacity=9),
        *willing(known, "marketing", capacity=8),
        tie,
        *willing(one_left, "Marketing", capacity=2),
        *asked(one_left),
        *willing(waiting, "Marketing"),
        *willing(best, "Publishing"),
        programme.ParticipantEnrolled(seeker_id=OTHER_SEEKER, coach_id=COACH),
        proposed(waiting, OTHER_SEEKER),
    ]
    items = await found(library, *history)
    assert ids(items) == [best, waiting, one_left, known, related]
    assert [item["acquainted"] for item in items] == [False, False, False, True, False]
    answer = await library.get(CANDIDATES, limit=2)
    assert (ids(answer["items"]), answer["found"], answer["complete"]) == ([best, waiting], 5, True)


class ManyWilling(Reader):
    """Answers at once: so many willing contacts of the field, so many other participants, and nothing else."""

    def __init__(self, count: int) -> None:
        ids = [UUID(int=number + 1) for number in range(count)]
        self.contacts = [CONTACTS.encode(row(CONTACTS, happened(*willing(id, "Marketing")))) for id in ids]
        self.others = [PARTICIPANTS.encode(ParticipantRow(PROGRAMME, id, COACH, NOW, NOW)) for id in ids]

    async def willing_contacts(self, tenant: str, *, limit: int) -> list[str]:
        return self.contacts

    async def page(self, *args: Any, **more: Any) -> Page:
        return Page(1, self.others, None, [])

    async def rows(self, *args: Any) -> dict[str, str]:
        return {}


async def test_many_candidates_leave_others_their_turns() -> None:
    """Given many willing contacts and participants, then other tasks have their turns while both are decoded, and while
    the candidates are made of them."""
    me = ParticipantRow(PROGRAMME, SEEKER, COACH, NOW, NOW)
    (found, complete), turns = await with_turns(find_candidates(ManyWilling(1000), "tenant", me, ["Marketing"], NOW))
    assert (len(found), complete) == (1000, True)
    assert turns >= 5 * 1000 // AT_ONCE


async def test_the_month_is_the_contacts(library: Library) -> None:
    """Given a contact to whom it is another month already, then that month's places count."""
    ahead = contact.DetailsCorrected(time_zone="Pacific/Kiritimati")
    history = [*willing(ANA, "Marketing", capacity=1), *asked(ANA), on("contact", ANA, ahead)]
    assert await found(library, *history) == []


async def test_what_is_looked_for(library: Library) -> None:
    """Given a participant without target fields, then the programme's count; and whatever the coach asks for."""
    history: list[Event | On] = [*willing(ANA, "Nursing"), *willing(BEN, "Advertising"), seeker.GoalsChanged()]
    assert ids(await found(library, *history)) == [ANA]
    answer = await library.get(CANDIDATES, field=["advertising", "law"])
    assert (ids(answer["items"]), answer["fields"]) == ([BEN], ["advertising", "law"])
    await library.get(CANDIDATES, 422, field="")


async def test_where_nobody_names_a_field(library: Library) -> None:
    """Given neither target fields nor fields of the programme, then the answer is empty and says why."""
    bare = [REGISTERED, programme.Created(title="Autumn"), programme.ParticipantEnrolled(seeker_id=SEEKER)]
    await library.fold(happened(*bare, *willing(ANA, "Marketing")))
    answer = await library.get(CANDIDATES)
    assert (answer["fields"], answer["items"], answer["found"]) == ([], [], 0)


async def test_only_participants_have_candidates(library: Library) -> None:
    """Given no such programme, or a seeker who does not take part, then that is what is missing."""
    assert (await library.get(CANDIDATES, 404))["code"] == "unknown_programme"
    await library.fold(happened(*ENROLLED))
    problem = await library.get(CANDIDATES.replace(str(SEEKER), str(OTHER_SEEKER)), 404)
    assert (problem["code"], problem["field"]) == ("unknown_participant", "path.seeker_id")
