"""Pages, filters, names and one's own writes: what all listings have in common."""

from __future__ import annotations

import asyncio
import base64
import json
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID

import asyncpg
import pytest

from services.projector.live.progress import Progress
from services.projector.queries.listings import LISTINGS
from services.projector.queries.reader import Reader
from shared.domain import contact, interview, lead, relationship
from shared.domain.kernel import On
from tests.domain.scenario import (
    ACCEPTED,
    ADDED,
    ANA,
    BEN,
    HELD,
    INTERVIEW,
    NOW,
    PEOPLE,
    PLANNED,
    REGISTERED,
    REQUESTED,
    SCHEDULED,
    SEEKER,
    STARTS_AT,
    WHOSE,
    on,
)
from tests.models.history import History, happened
from tests.queries.conftest import MINE, TENANT, Library, serving

THANKED = interview.Thanked(**WHOSE, how="email", thanked_ids=(ANA,))
STORY = (*PEOPLE, PLANNED, REQUESTED, ACCEPTED, SCHEDULED, HELD, THANKED)


def planned(count: int) -> list[On]:
    """Interviews, one after the other."""
    return [on("interview", UUID(int=0x100 + number), PLANNED) for number in range(count)]


async def test_the_pipeline_shows_names_and_the_next_move_in_words(library: Library) -> None:
    """Given a conversation that was held, then the pipeline tells with whom, and to thank them."""
    position = await library.fold(happened(*STORY[:-1]))
    answer = await library.get(f"{MINE}/pipeline")
    assert answer["position"] == position
    assert answer["next"] is None
    [item] = answer["items"]
    assert item["interview_id"] == str(INTERVIEW)
    assert (item["status"], item["next_move"], item["next_move_says"]) == ("held", "thank", "Thank them.")
    assert item["contacts"] == [{"contact_id": str(ANA), "name": "Ana Reis", "employer": None, "position": None}]


async def test_pages_lead_through_everything_once(library: Library) -> None:
    """Given seven interviews, when paging by three, then all come, latest first, each once."""
    await library.fold(happened(*PEOPLE, *planned(7)))
    seen: list[str] = []
    after: dict[str, Any] = {}
    sizes = []
    while True:
        answer = await library.get(f"{MINE}/pipeline", limit=3, **after)
        seen += [item["interview_id"] for item in answer["items"]]
        sizes.append(len(answer["items"]))
        if answer["next"] is None:
            break
        after = {"after": answer["next"]}
    assert sizes == [3, 3, 1]
    assert seen == [str(UUID(int=0x100 + number)) for number in reversed(range(7))]


async def test_a_page_misses_nothing_that_moves_meanwhile(library: Library) -> None:
    """Given a first page, when an interview further back moves on, then it is on the second page all the same."""
    history = happened(*PEOPLE, *planned(3))
    await library.fold(history)
    first = await library.get(f"{MINE}/pipeline", limit=2)
    await library.fold(history.add(on("interview", UUID(int=0x100), REQUESTED)))
    second = await library.get(f"{MINE}/pipeline", limit=2, after=first["next"])
    assert [(item["interview_id"], item["status"]) for item in second["items"]] == [(str(UUID(int=0x100)), "requested")]


async def test_states_filter(library: Library) -> None:
    """Given interviews in two states, when one is asked for, then only those come; several may be asked for."""
    await library.fold(happened(*PEOPLE, *planned(3), on("interview", UUID(int=0x101), REQUESTED)))
    assert [item["status"] for item in (await library.get(f"{MINE}/pipeline", state="requested"))["items"]] == [
        "requested"
    ]
    both = await library.get(f"{MINE}/pipeline", state=["requested", "planned"])
    assert len(both["items"]) == 3
    assert (await library.get(f"{MINE}/pipeline", state="held"))["items"] == []


async def test_the_agenda_from_an_instant_on(library: Library) -> None:
    """Given two appointments, when those from now on are asked for, then the past one is left out."""
    later = SCHEDULED.model_copy(update={"starts_at": NOW + timedelta(days=3)})
    other = UUID(int=0x200)
    await library.fold(happened(*STORY, on("interview", other, PLANNED), on("interview", other, later)))
    everything = await library.get(f"{MINE}/agenda")
    assert [item["starts_at"] for item in everything["items"]] == [
        STARTS_AT.isoformat().replace("+00:00", "Z"),
        (NOW + timedelta(days=3)).isoformat().replace("+00:00", "Z"),
    ]
    coming = await library.get(f"{MINE}/agenda", since=NOW.isoformat())
    assert [item["interview_id"] for item in coming["items"]] == [str(other)]


@pytest.mark.parametrize("wish", [contact.AskedNotToBeContacted(), contact.Forgotten()], ids=["peace", "forgotten"])
async def test_nobody_is_told_to_write_to_who_is_to_be_left_in_peace(
    library: Library, wish: contact.AskedNotToBeContacted | contact.Forgotten
) -> None:
    """Given a request that is unanswered, and a tie that was warm, when the contact asks for peace, or is forgotten,
    then no next move writes to them."""
    met = relationship.TouchpointRecorded(seeker_id=SEEKER, contact_id=ANA, kind="met")
    await library.fold(happened(*PEOPLE, met, PLANNED, REQUESTED, wish))
    [item] = (await library.get(f"{MINE}/pipeline"))["items"]
    assert item["next_move"] == "leave_in_peace"
    assert item["next_move_says"] == "They asked not to be contacted: leave them in peace."
    [tie] = (await library.get(f"{MINE}/relationships"))["items"]
    assert tie["next_move"] == "leave_in_peace"


@pytest.mark.parametrize("ready", [False, True])
async def test_nobody_prepares_to_meet_who_is_to_be_left_in_peace(library: Library, ready: bool) -> None:
    """Given an appointment that is ahead, prepared and confirmed or not, when the contact asks for peace, then the next
    move is to leave them in it."""
    later = SCHEDULED.model_copy(update={"starts_at": NOW + timedelta(days=3)})
    more = [interview.Prepared(**WHOSE), interview.Confirmed(**WHOSE)] if ready else []
    await library.fold(happened(*PEOPLE, PLANNED, REQUESTED, ACCEPTED, later, *more, contact.AskedNotToBeContacted()))
    [item] = (await library.get(f"{MINE}/pipeline"))["items"]
    assert item["next_move"] == "leave_in_peace"


async def test_a_plan_alone_is_no_tie_to_keep(library: Library) -> None:
    """Given a conversation that is only planned, then nothing is to be kept in touch with yet."""
    await library.fold(happened(*PEOPLE, PLANNED))
    [tie] = (await library.get(f"{MINE}/relationships"))["items"]
    assert (tie["warmth"], tie["next_move"], tie["next_move_says"]) == ("untouched", None, None)


async def test_relationships_leads_and_contacts_of_a_story(library: Library) -> None:
    """Given a conversation that gave a lead, then each listing shows its side of it."""
    added = ADDED.model_copy(update={"seeker_id": SEEKER})
    given = lead.Recorded(seeker_id=SEEKER, contact_id=ANA, interview_id=INTERVIEW, kind="advice", what="Learn")
    await library.fold(happened(REGISTERED, added, *STORY[2:], given))
    [tie] = (await library.get(f"{MINE}/relationships", state="warm"))["items"]
    assert (tie["contact"]["name"], tie["conversations"], tie["next_move"]) == ("Ana Reis", 1, "keep_in_touch")
    first_touch = datetime.fromisoformat(tie["next_touch_at"])
    assert timedelta(days=30) <= first_touch - NOW < timedelta(days=32)
    [board] = (await library.get(f"{MINE}/leads"))["items"]
    assert (board["state"], board["owed_by"], board["contact"]["name"]) == ("to_act_on", "seeker", "Ana Reis")
    assert (await library.get(f"{TENANT}/leads/{board['lead_id']}"))["item"] == board
    unknown = await library.client.get(f"{TENANT}/leads/{INTERVIEW}")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_lead")
    [known] = (await library.get(f"{MINE}/contacts"))["items"]
    assert (known["name"], known["source"]) == ("Ana Reis", "alumni_network")


async def test_the_timeline_of_two(library: Library) -> None:
    """Given a story, then the timeline tells it latest first, under how it stands between the two."""
    position = await library.fold(happened(*STORY))
    answer = await library.get(f"{MINE}/timeline/{ANA}")
    assert [item["type"] for item in answer["items"]] == [
        "interview.thanked",
        "interview.held",
        "interview.scheduled",
        "interview.accepted",
        "interview.request_sent",
        "interview.planned",
    ]
    assert (answer["relationship"]["warmth"], answer["position"]) == ("warm", position)
    only = await library.get(f"{MINE}/timeline/{ANA}", type="interview.held")
    assert [item["facts"]["minutes"] for item in only["items"]] == [30]


@pytest.mark.parametrize("end", [lead.CameToNothing, lead.Dropped])
async def test_the_timeline_says_how_a_lead_ended(library: Library, end: type[Any]) -> None:
    """Given a referral that came to nothing, or was dropped, then its entry says why, as the leads board does."""
    given = {"seeker_id": SEEKER, "contact_id": ANA, "kind": "referral"}
    recorded = lead.Recorded.model_validate(given | {"what": "Ask Ben"})
    await library.fold(happened(*PEOPLE, recorded, end(**given, why="He leaves")))
    [latest, _] = (await library.get(f"{MINE}/timeline/{ANA}"))["items"]
    assert latest["facts"] == {"kind": "referral", "result": "He leaves"}


async def test_a_name_is_the_one_that_holds_now(library: Library) -> None:
    """Given an old interview, when the contact's name is corrected or forgotten, then it shows everywhere."""
    history = happened(*STORY)
    await library.fold(history.add(contact.DetailsCorrected(name="Ana Reis-Sousa")))
    [item] = (await library.get(f"{MINE}/pipeline"))["items"]
    assert item["contacts"][0]["name"] == "Ana Reis-Sousa"
    await library.fold(history.add(contact.Forgotten()))
    [item] = (await library.get(f"{MINE}/pipeline"))["items"]
    assert item["contacts"] == [{"contact_id": str(ANA), "name": None, "employer": None, "position": None}]


async def test_tenants_see_their_own(library: Library) -> None:
    """Given a seeker of one tenant, when another asks, then there is none."""
    await library.fold(happened(*STORY))
    problem = await library.get(f"/v1/tenants/other/seekers/{SEEKER}/pipeline", 404)
    assert problem["code"] == "unknown_seeker"


async def test_what_a_path_names_must_be_there_and_may_hold_nothing(library: Library) -> None:
    """Given nobody, then every listing is 404; given a seeker with nothing yet, then each is empty."""
    history = History()
    await library.fold(history.add(ADDED))
    paths = [*(listing.path for listing in LISTINGS), "relationships", "notebook", "schedule"]
    for path in paths:
        problem = await library.get(f"{MINE}/{path}", 404)
        assert (problem["code"], problem["field"]) == ("unknown_seeker", "path.seeker_id")
    await library.fold(history.add(REGISTERED))
    for path in paths:
        assert await library.get(f"{MINE}/{path}") == {"items": [], "next": None, "position": 2}


async def test_a_query_waits_for_what_it_must_have_seen(library: Library) -> None:
    """Given a position that is not folded yet, when it is folded meanwhile, then the query sees it."""
    history = happened(*PEOPLE)
    await library.fold(history)
    async with serving(lambda: library.reader, patience=60) as client:
        asked = asyncio.create_task(client.get(f"{MINE}/pipeline", params={"min_position": 3}))
        await library.fold(history.add(PLANNED))
        answer = await asked
    assert len(answer.json()["items"]) == 1


@pytest.mark.parametrize("path", ["", "/pipeline", "/schedule"])
async def test_what_a_crash_took_back_is_not_shown_as_seen(library: Library, path: str) -> None:
    """Given a position that was folded, and is not any more since the server crashed before its disk had that, which
    the projector has not noticed yet, then a query that names it is told to come again."""
    await library.fold(happened(*PEOPLE))
    progress = Progress()
    progress.reach(3)
    async with serving(lambda: Reader(library.reader.pool, progress)) as client:
        answer = await client.get(MINE + path, params={"min_position": 3})
        again = await client.get(MINE + path, params={"min_position": 2})
    assert (answer.status_code, answer.json()["code"], answer.json()["position"]) == (503, "not_yet_visible", 2)
    assert again.status_code == 200
    assert progress.position < 3


class Elsewhere(Reader):
    """At position 7 after `waiting` looks: another process folds."""

    def __init__(self, waiting: int) -> None:
        super().__init__(cast(Any, None))
        self._waiting = waiting
        self.looks = 0

    async def position(self) -> int:
        self.looks += 1
        return 7 if self.looks > self._waiting else 0


async def test_all_who_wait_look_together() -> None:
    """Given many who wait for what another process folds, then after a look of each one look serves them all."""
    reader = Elsewhere(waiting=50)
    await asyncio.gather(*(reader.wait_for(7, 60) for _ in range(50)))
    assert reader.looks == 51


async def test_a_query_does_not_wait_for_ever(library: Library) -> None:
    """Given a position that does not come, then the query is told so, and to repeat."""
    await library.fold(happened(*PEOPLE))
    response = await library.client.get(f"{MINE}/pipeline", params={"min_position": 99})
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "1"
    assert response.headers["Content-Type"] == "application/problem+json"
    assert (response.json()["code"], response.json()["position"]) == ("not_yet_visible", 2)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"min_postion": 3}, "query.min_postion"),
        ({"limit": 0}, "query.limit"),
        ({"limit": 201}, "query.limit"),
        ({"limit": "many"}, "query.limit"),
        ({"after": "%%%"}, "query.after"),
        ({"after": "x" * 500}, "query.after"),
        ({"state": "dreaming"}, "query.state.0"),
        ({"min_position": -1}, "query.min_position"),
        ({"min_position": 2**64}, "query.min_position"),
        ({"since": "yesterday"}, "query.since"),
        ({"since": "2026-11-17T09:00:00"}, "query.since"),
        ({"until": "9999-12-31T23:59:59-23:00"}, "query.until"),
    ],
)
async def test_what_can_not_be_asked_is_named(query: dict[str, str], field: str) -> None:
    """Given a mistyped or senseless parameter, then the problem names it, and nothing is looked up."""
    async with serving(_untouched) as client:
        response = await client.get(f"{MINE}/pipeline", params=query)
    assert (response.status_code, response.json()["field"]) == (422, field)


def made_up(sort: str, key: str) -> str:
    """A cursor as pages give them, of a place that no page can give."""
    return base64.urlsafe_b64encode(json.dumps([sort, key], separators=(",", ":")).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "after",
    [
        "abcd",
        made_up("2026-01-01T00:00:00+00:00", "\ud800"),
        made_up("2026-01-01T00:00:00+00:00", "\0"),
        made_up("0001-01-01T00:00:00+14:00", "x"),
        made_up("9999-12-31T23:59:59-01:00", "x"),
        made_up("0001-01-01T00:00:01", "x"),
        made_up("2026-01-01T00:00:00", "x"),
    ],
)
async def test_a_cursor_that_no_page_gave_is_refused(library: Library, after: str) -> None:
    """Given letters that are no cursor, or one of a place that can't be, then the problem says so."""
    await library.fold(happened(*PEOPLE))
    problem = await library.get(f"{MINE}/pipeline", 400, after=after)
    assert (problem["code"], problem["field"]) == ("malformed_cursor", "query.after")


def _untouched() -> Reader:
    raise AssertionError("looked up")


@pytest.mark.parametrize("tenant", ["UPPER", "a%00b", "a" * 64, "ä"])
async def test_a_tenant_that_can_not_be_is_refused(tenant: str) -> None:
    """Given a tenant's name that none can have, then it is refused before anything is looked up."""
    async with serving(_untouched) as client:
        response = await client.get(f"/v1/tenants/{tenant}/seekers/{SEEKER}/pipeline")
    assert (response.status_code, response.json()["field"]) == (422, "path.tenant")


async def test_nothing_between_two_is_not_an_empty_timeline(library: Library) -> None:
    """Given two who never met, then their timeline is 404."""
    await library.fold(happened(*STORY))
    problem = await library.get(f"{MINE}/timeline/{BEN}", 404)
    assert (problem["code"], problem["field"]) == ("unknown_relationship", "path.contact_id")


async def test_a_tie_without_conversation_has_a_timeline(library: Library) -> None:
    """Given only an introduction that was asked for, then the timeline shows it and what to do."""
    asked = relationship.IntroductionRequested(seeker_id=SEEKER, contact_id=ANA, connector="Uncle Rui")
    await library.fold(happened(*PEOPLE, asked))
    answer = await library.get(f"{MINE}/timeline/{ANA}")
    assert answer["items"][0]["facts"] == {"connector": "Uncle Rui"}
    assert answer["relationship"]["next_move"] == "await_introduction"


async def test_a_connector_has_a_timeline(library: Library) -> None:
    """Given a contact who was only asked to introduce another, then their timeline tells of it."""
    asked = relationship.IntroductionRequested(seeker_id=SEEKER, contact_id=ANA, connector_id=BEN)
    await library.fold(happened(*PEOPLE, on("contact", BEN, ADDED), asked))
    answer = await library.get(f"{MINE}/timeline/{BEN}")
    assert [item["type"] for item in answer["items"]] == ["relationship.introduction_requested"]
    assert answer["relationship"]["contact"]["contact_id"] == str(BEN)
    assert (answer["relationship"]["last_touch"], answer["relationship"]["next_move"]) == (
        "introduction_requested",
        "keep_in_touch",
    )


@pytest.mark.parametrize("confirmed", [False, True])
@pytest.mark.parametrize(("minutes", "over"), [(29, True), (30, True), (31, False)])
async def test_what_is_over_is_to_be_recorded(library: Library, minutes: int, over: bool, confirmed: bool) -> None:
    """Given an appointment of half an hour ago, then the next move is to prepare until its end, and from then on to
    record how it went."""
    begun = SCHEDULED.model_copy(update={"starts_at": NOW - timedelta(minutes=30), "minutes": minutes})
    more = [interview.Confirmed(**WHOSE)] if confirmed else []
    await library.fold(happened(*PEOPLE, PLANNED, REQUESTED, ACCEPTED, begun, *more))
    [item] = (await library.get(f"{MINE}/pipeline"))["items"]
    assert item["next_move"] == ("record_conversation" if over else "prepare")
    assert (await library.get(f"{TENANT}/interviews/{INTERVIEW}"))["item"] == item


@pytest.mark.parametrize(("by", "move"), [("contact", "take_offered_time"), ("seeker", "await_choice")])
@pytest.mark.parametrize("ahead", [True, False])
async def test_times_that_have_passed_are_no_choice(library: Library, ahead: bool, by: str, move: str) -> None:
    """Given times that were offered, then the next move is about them until the last of them has come, and from then on
    to agree on another."""
    times = [{"starts_at": NOW + timedelta(minutes=minutes)} for minutes in (1 if ahead else 0, -60)]
    offered = interview.TimesOffered.model_validate({**WHOSE, "times": times, "time_zone": "Europe/Lisbon", "by": by})
    await library.fold(happened(*PEOPLE, PLANNED, REQUESTED, ACCEPTED, offered))
    [item] = (await library.get(f"{MINE}/pipeline"))["items"]
    assert item["next_move"] == (move if ahead else "agree_time")
    assert (await library.get(f"{TENANT}/interviews/{INTERVIEW}"))["item"] == item


@pytest.mark.parametrize(("reflected", "move"), [(False, "reflect"), (True, None)])
async def test_nobody_is_left_to_thank(library: Library, reflected: bool, move: str | None) -> None:
    """Given two of whom one was thanked and the other wants to be left alone, then the thanks are done with."""
    both = {"seeker_id": SEEKER, "contact_ids": (ANA, BEN)}
    history = [
        *(PLANNED.model_copy(update=both), HELD.model_copy(update=both)),
        interview.Thanked(**both, how="email", thanked_ids=(BEN,), complete=False),
        contact.AskedNotToBeContacted(),
    ]
    more = [interview.ReflectionRecorded(**both, learned="Much", clicked=4)] if reflected else []
    await library.fold(happened(*PEOPLE, on("contact", BEN, ADDED), *history, *more))
    [item] = (await library.get(f"{MINE}/pipeline"))["items"]
    assert item["next_move"] == move


@pytest.mark.parametrize("away", [ConnectionRefusedError(), asyncpg.AdminShutdownError(), TimeoutError()])
async def test_a_database_that_is_away_is_said_to_be(away: Exception) -> None:
    """Given that PostgreSQL does not answer, then the query is told so, and to repeat."""

    def reader() -> Reader:
        raise away

    async with serving(reader) as client:
        response = await client.get(f"{MINE}/pipeline")
    assert (response.status_code, response.headers["Retry-After"]) == (503, "2")
    assert response.json()["code"] == "read_models_unavailable"
