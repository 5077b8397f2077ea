"""The calendar feed, read as a calendar program reads it."""

from __future__ import annotations

import asyncio
import re
import threading
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import vobject
from icalendar import Timezone

from services.projector.models.agenda import AppointmentRow
from services.projector.queries import calendars
from services.projector.queries.answering import People, Person
from services.projector.queries.calendar_feed import calendar
from services.projector.queries.reader import Reader
from shared.domain import interview, seeker
from shared.domain.kernel import Event
from tests.domain.scenario import (
    ACCEPTED,
    ADDED,
    ANA,
    INTERVIEW,
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
from tests.queries.conftest import MINE, Library, serving

SECRET = "s3cret_-" * 5
OPENED = seeker.CalendarFeedOpened(secret_sha256=sha256(SECRET.encode()).hexdigest())
FEED = f"{MINE}/calendars/{SECRET}.ics"
BY_EMAIL = PLANNED.model_copy(update={"format": "email"})
OTHER = ANA
PATIENCE = 10.0
"""Seconds after which whoever waits gives up: not a measure, a way out."""


def story() -> History:
    return happened(REGISTERED, OPENED, ADDED, PLANNED, REQUESTED, ACCEPTED, SCHEDULED)


def read(feed: bytes) -> list[dict[str, str]]:
    """The entries of a feed by RFC 5545, section 3.1: lines folded at 75 octets, ended by CRLF; `\\` escapes."""
    assert feed.endswith(b"\r\n")
    assert b"\n" not in feed.replace(b"\r\n", b"")
    assert all(len(line) <= 75 for line in feed.split(b"\r\n"))
    entries: list[dict[str, str]] = []
    for line in feed.replace(b"\r\n ", b"").decode().split("\r\n"):
        name, _, value = line.partition(":")
        if line == "BEGIN:VEVENT":
            entries.append({})
        elif entries:
            entries[-1][name] = re.sub(r"\\(.)", lambda escaped: "\n" if escaped[1] in "nN" else escaped[1], value)
    return entries


async def test_a_calendar_program_sees_the_appointment(library: Library) -> None:
    """Given an appointment, then the feed has it, at its instant, for its length, with its place."""
    await library.fold(story())
    response = await library.text(FEED)
    assert response.headers["Content-Type"] == "text/calendar; charset=utf-8"
    [entry] = read(response.content)
    assert entry["SUMMARY"] == "Conversation with Ana Reis"
    assert (entry["DTSTART"], entry["DTEND"]) == ("20261117T080000Z", "20261117T083000Z")
    assert (entry["UID"], entry["SEQUENCE"]) == (f"{INTERVIEW}@kithlog", "0")
    assert (entry["LOCATION"], entry["STATUS"]) == ("Café Nobre", "CONFIRMED")
    assert entry["DTSTAMP"] == entry["LAST-MODIFIED"]


async def test_changes_reach_the_calendar(library: Library) -> None:
    """Given an appointment that is moved and called off, then it is the same entry, with rising sequence, cancelled."""
    history = story()
    moved = interview.Rescheduled(
        **WHOSE, starts_at=STARTS_AT + timedelta(days=1), time_zone="Europe/Lisbon", minutes=20, format="phone"
    )
    await library.fold(history.add(moved))
    [entry] = read((await library.text(FEED)).content)
    assert (entry["DTSTART"], entry["DTEND"], entry["SEQUENCE"]) == ("20261118T080000Z", "20261118T082000Z", "1")
    await library.fold(history.add(interview.Cancelled(**WHOSE, by="contact")))
    [entry] = read((await library.text(FEED)).content)
    assert (entry["UID"], entry["SEQUENCE"], entry["STATUS"]) == (f"{INTERVIEW}@kithlog", "2", "CANCELLED")


@pytest.mark.parametrize(
    ("event", "status", "summary"),
    [
        (interview.Cancelled(**WHOSE, by="contact"), "CANCELLED", "Cancelled: Conversation with Ana Reis"),
        (interview.Missed(**WHOSE, by="contact"), "CONFIRMED", "Missed: Conversation with Ana Reis"),
    ],
)
async def test_what_fell_through_is_told_by_its_name(library: Library, event: Event, status: str, summary: str) -> None:
    """Given an appointment that was called off or missed, then its summary says so, since some programs show nothing
    else, and it keeps nobody busy, as one that stands does; with another time it is an appointment as any."""
    history = story()
    await library.fold(history)
    [entry] = read((await library.text(FEED)).content)
    assert "TRANSP" not in entry
    await library.fold(history.add(event))
    [entry] = read((await library.text(FEED)).content)
    assert (entry["STATUS"], entry["SUMMARY"], entry["TRANSP"]) == (status, summary, "TRANSPARENT")
    await library.fold(history.add(SCHEDULED))
    [entry] = read((await library.text(FEED)).content)
    assert (entry["STATUS"], entry["SUMMARY"]) == ("CONFIRMED", "Conversation with Ana Reis")
    assert "TRANSP" not in entry


async def test_whoever_subscribes_sees_whom_they_meet(library: Library) -> None:
    """Given an appointment, then it has no CLASS: some programs show those of a feed that are private as a time that
    is taken, without name and place."""
    await library.fold(story())
    assert "\r\nCLASS" not in (await library.text(FEED)).text


async def test_an_email_interview_is_in_no_calendar(library: Library) -> None:
    """Given an interview by e-mail that was held, then the feed has no entry."""
    held = interview.Held(**WHOSE, format="email")
    await library.fold(happened(REGISTERED, OPENED, ADDED, BY_EMAIL, REQUESTED, ACCEPTED, held))
    assert read((await library.text(FEED)).content) == []


@pytest.mark.parametrize(("known", "has"), [("Europe/Lisbon", "Europe/Lisbon"), ("Mars/Olympus", "UTC")])
async def test_a_feed_without_appointments_is_a_calendar(library: Library, known: str, has: str) -> None:
    """Given a seeker without appointments, then the feed has the one component that RFC 5545 asks for: the rules of
    their time zone, or UTC's where this release does not know it."""
    await library.fold(happened(REGISTERED.model_copy(update={"time_zone": known}), OPENED))
    feed = vobject.readOne((await library.text(FEED)).text)
    [component] = feed.components()
    assert (component.name, component.tzid.value) == ("VTIMEZONE", has)
    assert [*component.components()]


def test_the_rules_of_a_zone_are_reckoned_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given several seekers of one zone without appointments, then its rules, which take long, are found once, and each
    has them."""
    reckoned: list[str] = []

    def from_tzinfo(of: ZoneInfo) -> Timezone:
        reckoned.append(of.key)
        return original(of)

    original = Timezone.from_tzinfo
    monkeypatch.setattr(Timezone, "from_tzinfo", from_tzinfo)
    zones = ("Asia/Almaty", "Asia/Tashkent", "Asia/Almaty")
    feeds = [calendar("Mona", zone, [], People({})) for zone in zones]
    assert reckoned == [*zones[:2]]
    assert feeds[0] == feeds[2] != feeds[1]


async def test_only_the_secret_opens_the_feed(library: Library) -> None:
    """Given a feed, when the secret is wrong, replaced or revoked, then there is nothing, and no hint why."""
    history = story()
    await library.fold(history)
    wrong = f"{MINE}/calendars/{SECRET[:-1]}x.ics"
    refused = [await library.get(wrong, 404)]
    other = seeker.CalendarFeedOpened(secret_sha256=sha256(b"another" * 6).hexdigest())
    await library.fold(history.add(other))
    refused.append(await library.get(FEED, 404))
    assert (await library.text(f"{MINE}/calendars/{'another' * 6}.ics")).status_code == 200
    await library.fold(history.add(seeker.CalendarFeedClosed()))
    refused.append(await library.get(f"{MINE}/calendars/{'another' * 6}.ics", 404))
    stranger = FEED.replace(str(SEEKER), str(ANA))
    refused.append(await library.get(stranger, 404))
    assert {problem["code"] for problem in refused} == {"unknown_feed"}
    assert len({problem["detail"] for problem in refused}) == 1


@pytest.mark.parametrize("secret", [SECRET, "x" * 40])
async def test_nobody_waits_at_the_feed(secret: str) -> None:
    """Given an address that names a position, with the secret or without, then it is refused before anything is looked
    up: who knows nothing can neither keep queries busy nor learn how long the log is."""

    def untouched() -> Reader:
        raise AssertionError("looked up")

    async with serving(untouched) as client:
        answer = await client.get(f"{MINE}/calendars/{secret}.ics", params={"min_position": 10**9})
    assert (answer.status_code, answer.json()["field"]) == (422, "query.min_position")


async def test_a_secret_that_could_be_guessed_is_none(library: Library) -> None:
    """Given a feed opened with a short secret, then no address leads to it."""
    weak = seeker.CalendarFeedOpened(secret_sha256=sha256(b"1234").hexdigest())
    await library.fold(happened(REGISTERED, weak))
    await library.get(f"{MINE}/calendars/1234.ics", 422)


async def test_an_unchanged_feed_is_not_sent_again(library: Library) -> None:
    """Given a program that has the feed, when nothing changed, then it is told so; when something did, it gets all."""
    history = story()
    await library.fold(history)
    etag = (await library.text(FEED)).headers["ETag"]
    for has in (etag, f"W/{etag}", f'"old, er", W/{etag}', f'"older",{etag}', "*"):
        again = await library.client.get(FEED, headers={"If-None-Match": has})
        assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", etag)
    await library.fold(history.add(interview.Cancelled(**WHOSE, by="contact")))
    for had in (etag, f"W/{etag}", f'"older", {etag}', etag.strip('"'), '""', ""):
        assert (await library.client.get(FEED, headers={"If-None-Match": had})).status_code == 200


async def test_appointments_stand_in_order(library: Library) -> None:
    """Given two appointments, then the feed has them by start."""
    sooner = SCHEDULED.model_copy(update={"starts_at": STARTS_AT - timedelta(days=5)})
    history = story().add(on("interview", OTHER, PLANNED), on("interview", OTHER, sooner))
    await library.fold(history)
    entries = read((await library.text(FEED)).content)
    assert [entry["DTSTART"] for entry in entries] == ["20261112T080000Z", "20261117T080000Z"]


@pytest.mark.parametrize(
    "name",
    [
        "Ana; Reis, \\ & Co",
        "東京" * 40,
        "two\nlines",
        "a\rb\x07c",
        "山田\u3000太郎",
        "Salle\xa03\tB",
        "BEGIN:VEVENT\r\nUID:x",
        r"\\server\Notes\new",
    ],
)
def test_any_name_fits_into_a_calendar(name: str) -> None:
    """Given a name with separators, of many octets, or with lines, then it can neither break nor add an entry."""
    row = AppointmentRow(
        interview_id=INTERVIEW,
        seeker_id=SEEKER,
        contact_ids=(ANA,),
        status="scheduled",
        starts_at=STARTS_AT,
        time_zone="Europe/Lisbon",
        minutes=30,
        format="coffee",
        place=name,
        uid="u@kithlog",
        sequence=0,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        changed_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    [entry] = read(calendar(name, "Europe/Lisbon", [row], People({ANA: Person(ANA, name, None, None)})))
    assert entry["UID"] == "u@kithlog"
    assert entry["SUMMARY"] == "Conversation with " + re.sub("[\r\x07]", "", name)


async def test_another_implementation_reads_the_same(library: Library) -> None:
    """Given an appointment, when a library that did not write the feed parses it, then it finds the same entry."""
    await library.fold(story())
    feed = (await library.text(FEED)).text

    [found] = vobject.readOne(feed).vevent_list
    assert found.dtstart.value == STARTS_AT
    assert found.dtend.value == STARTS_AT + timedelta(minutes=SCHEDULED.minutes)
    assert found.uid.value == read(feed.encode())[0]["UID"]
    assert found.sequence.value == "0"


async def test_a_long_calendar_leaves_others_their_turns(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a calendar that takes its time to be written, then others go on meanwhile."""
    begun, others = threading.Event(), threading.Event()

    def waiting(*args: Any) -> bytes:
        begun.set()
        assert others.wait(PATIENCE), "nobody else has had a turn"
        return calendar(*args)

    async def another() -> None:
        assert await asyncio.to_thread(begun.wait, PATIENCE)
        others.set()

    monkeypatch.setattr(calendars, "calendar", waiting)
    await library.fold(story())
    feed, _ = await asyncio.gather(library.text(FEED), another())
    assert len(read(feed.content)) == 1
