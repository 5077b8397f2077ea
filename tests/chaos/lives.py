"""What one client of the load asks for: a seeker who meets a contact, and the reminders that follow from it.

Now and then several clients correct one contact at the same time, most of them on the version alone that they saw; and
many seekers take part in one programme, which each of their clients asks to begin, by one and the same command.

All that is remindable is said to have happened so long ago, or to be ahead so far, that its reminder falls due within
seconds; something that makes the reminder needless comes about then, before or after it. Some of what is asked must be
refused.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from shared.domain.identity import event_id, notification_id, relationship_id

TENANTS = ("acme", "birch")
THANK_YOU_AFTER, OVERDUE_AFTER, ASKED_AFTER = timedelta(hours=2), timedelta(hours=24), timedelta(hours=1)
PREPARED_BEFORE, ONE_WORKING_DAY = timedelta(days=3), timedelta(days=1)
"""On the wall clock."""
EVERY_DAY = list(range(1, 8))
"""Working days of who is to be told whatever day it is."""
SOONEST, LATEST = 1.0, 6.0
"""Seconds from a reminder's being armed until it falls due."""
_ZONES = (
    "Pacific/Auckland", "Australia/Brisbane", "Asia/Tokyo", "Asia/Kolkata", "Asia/Dubai", "Europe/Lisbon",
    "America/Sao_Paulo", "America/Bogota", "America/Phoenix", "Pacific/Honolulu",
)  # fmt: skip
AFTERNOON, NIGHT = 14.5, 2.5
RIVALS = 5
"""Clients who correct one contact at the same time."""
WRONG_VERSION = "wrong_version"
_SHOWN: Mapping[str, Mapping[str, Any]] = {
    "contact/add": {"status": "reachable"},
    "contact/ask-not-to-be-contacted": {"status": "do_not_contact"},
    "contact/forget": {"status": "forgotten", "name": None},
    "interview/plan": {"status": "planned"},
    "interview/send-request": {"status": "requested"},
    "interview/accept": {"status": "accepted"},
    "interview/schedule": {"status": "scheduled"},
    "interview/prepare": {"prepared": True},
    "interview/cancel": {"status": "cancelled"},
    "interview/hold": {"status": "held"},
    "interview/thank": {"status": "thanked"},
}
"""What the document of a stream says after a command, besides what was said in that."""
_AS_SAID = ("name", "employer", "about", "time_zone")
"""Fields that documents have as commands said them."""


def zone_where_it_is(hour: float, now: datetime) -> str:
    """Reminders keep out of the night; where it is afternoon they fall due when they do."""

    def hours_from_it(zone: str) -> float:
        local = now.astimezone(ZoneInfo(zone))
        apart = abs(local.hour + local.minute / 60 - hour)
        return min(apart, 24 - apart)

    return min(_ZONES, key=hours_from_it)


@dataclass(frozen=True, slots=True)
class Wish:
    """One command, and how it is to be sent."""

    tenant: str
    category: str
    stream_id: UUID
    verb: str
    """As paths have it: `send-request`."""
    command_id: UUID
    body: dict[str, Any]
    at: datetime | None = None
    """When it is said to have happened; None: the service's clock says."""
    must_be_refused: str | None = None
    """The code with which it must be."""
    may_be_refused: tuple[str, ...] = ()
    """The codes with which it may be: that depends on when it comes."""
    unheard: bool = False
    """To be handed to the broker by a client that waits for no answer."""
    again: bool = False
    """To be sent once more when it was answered, and again when everything after it was."""
    to_all: bool = False
    """To be sent every way at the same time."""
    pause: float = 0.0
    """Seconds to wait before."""
    arms: Mapping[UUID, datetime] = field(default_factory=dict)
    """Once accepted: notification → when it falls due."""
    ends: tuple[UUID, ...] = ()
    """Once accepted: the notifications that must not fire any more."""
    puts_off: bool = False
    """What it ends is only put off, until after any run."""
    expected: int | None = None
    """The version that its stream must have; None: whichever it has."""
    rivals: tuple[Wish, ...] = ()
    """What others ask for at the same time, who know nothing of it."""
    look: bool = False
    """Once accepted: to be looked for in the document of its stream."""

    @property
    def path(self) -> str:
        return f"{self.category}s/{self.stream_id}/{self.verb}"

    @property
    def stream(self) -> str:
        """As answers name it."""
        return f"{self.category}/{self.stream_id}"

    @property
    def shows(self) -> dict[str, Any]:
        """What the document of its stream says once it is executed."""
        shown = _SHOWN.get(f"{self.category}/{self.verb}", {})
        return {**shown, **{name: value for name, value in self.body.items() if name in _AS_SAID}}

    @property
    def message(self) -> dict[str, Any]:
        """As it travels over AMQP and in imports."""
        occurred = {} if self.at is None else {"occurred_at": self.at.isoformat()}
        expected = {} if self.expected is None else {"expected_version": self.expected}
        return {
            "command": f"{self.category}.{self.verb.replace('-', '_')}",
            "tenant": self.tenant,
            "id": str(self.stream_id),
            "command_id": str(self.command_id),
            "data": self.body,
            **occurred,
            **expected,
        }


Wishes = Generator[Wish, None, None]


class Life:
    """The wishes of one seeker. Sent whether each was accepted; an honest client goes on only if it was."""

    def __init__(self, rng: Random, clock: Callable[[], datetime], group: str) -> None:
        """`group`: of the lives that have one programme in each tenant."""
        self._rng, self._clock = rng, clock
        self._tenant = rng.choice(TENANTS)
        self._seeker, self._contact, self._interview = self._id(), self._id(), self._id()
        shared = Random(f"{group}/{self._tenant}")
        self._programme, self._create_programme = _id_of(shared), _id_of(shared)
        self._lead = self._id()
        self._tie = relationship_id(self._seeker, self._contact)
        self._zone = zone_where_it_is(AFTERNOON, clock())

    def wishes(self) -> Wishes:
        """In the order in which they have to be accepted; the caller ends it with the first that is refused."""
        yield from self._agreement()
        stories = {
            self._conversation: 3,
            self._late_thanks: 2,
            self._appointment: 2,
            self._outcome: 2,
            self._opening: 2,
            self._rivalry: 1,
        }
        yield from self._rng.choices(list(stories), list(stories.values()))[0]()

    def _agreement(self) -> Wishes:
        """The two are known, and the contact has said yes."""
        register = {"name": f"Nadia {_of(self._seeker)}", "time_zone": self._zone}
        plan = {"seeker_id": str(self._seeker), "contact_ids": [str(self._contact)], "purpose": "field"}
        request = {"channel": "email", "minutes": 20, "intent": "I want to learn about your field."}
        yield self._seekers("register", register)
        yield self._contacts("add", {"name": f"Ivo {_of(self._contact)}", "source": "alumni_network"})
        if self._rng.random() < 0.15:
            yield self._seekers("register", register, must_be_refused="already_exists")
        if self._rng.random() < 0.15:
            other = self._id()
            yield self._wish("contact", other, "add", {"name": f"Ada {_of(other)}", "source": "event"}, unheard=True)
        yield self._interviews("plan", {**plan, "about": "Marketing"}, self._ago(hours=33))
        yield self._interviews("send-request", request, self._ago(hours=32))
        if self._rng.random() < 0.15:
            yield self._interviews("hold", {"minutes": 20}, must_be_refused="out_of_order")
        yield self._interviews("accept", {}, self._ago(hours=31))

    def _conversation(self) -> Wishes:
        """Held two hours ago: the thank-you falls due. Thanked, the two keep in touch."""
        held = yield from self._held(THANK_YOU_AFTER, "due")
        [due] = held.arms
        chance = self._rng.random()
        if chance < 0.3:
            return
        if chance < 0.6:
            yield self._silence(due, "thank_you", about_contact=True)
            return
        yield self._interviews("thank", {"how": "email"}, self._clock(), pause=self._about_then(), ends=(due,))
        if self._rng.random() < 0.7:
            yield from self._kept_in_touch()

    def _late_thanks(self) -> Wishes:
        """Held a day ago: the first reminder falls due at once, the second in a moment, unless the first is answered.

        An answer that comes before it has fired is refused.
        """
        held = yield from self._held(OVERDUE_AFTER, "overdue")
        [overdue] = held.arms
        first = notification_id("thank_you", self._interview, event_id(held.command_id, 0), "due")
        pause = self._about_then()
        if self._rng.random() < 0.5:
            how = self._rng.choice(("acted_on", "dismissed"))
            yield self._answers(first, "acknowledge", {"how": how}, pause=pause, ends=(overdue,))
            return
        # So that the second would come before the snooze is over.
        until = max(held.arms[overdue], self._clock() + timedelta(seconds=pause)) + timedelta(seconds=LATEST / 2)
        snooze = self._answers(first, "snooze", {"until": until.isoformat()}, pause=pause)
        again = notification_id("thank_you", self._interview, event_id(snooze.command_id, 0), "due")
        yield replace(snooze, arms={again: until}, ends=(overdue,))
        if self._rng.random() < 0.6:
            yield self._interviews("thank", {"how": "email"}, pause=self._about_then(), ends=(overdue, again))

    def _appointment(self) -> Wishes:
        """Three days ahead: the preparation falls due."""
        due = self._soon()
        prepared = yield from self._scheduled(
            due.astimezone(ZoneInfo(self._zone)) + PREPARED_BEFORE, "preparation", due
        )
        chance = self._rng.random()
        if chance < 0.3:
            yield self._interviews("prepare", {}, pause=self._about_then(), ends=(prepared,))
        elif chance < 0.6:
            yield self._interviews("cancel", {"by": "seeker"}, pause=self._about_then(), ends=(prepared,))
        elif chance < 0.8:
            yield self._silence(prepared, "preparation", about_contact=False)

    def _outcome(self) -> Wishes:
        """It should be over for an hour: the question how it went falls due. It is answered by holding it."""
        due = self._soon()
        asked = yield from self._scheduled(due - ASKED_AFTER - timedelta(minutes=20), "how_did_it_go", due)
        chance = self._rng.random()
        if chance < 0.6:
            yield from self._held(THANK_YOU_AFTER, "due", pause=self._about_then(), ends=(asked,))
        elif chance < 0.8:
            yield self._silence(asked, "how_did_it_go", about_contact=False)

    def _opening(self) -> Wishes:
        """Held a day ago, where the seeker was told of an opening: to act on it falls due at once, and, once it came to
        something, to say so. Half of these seekers take part in a programme."""
        yield self._seekers("change-preferences", {"working_days": EVERY_DAY})
        if self._rng.random() < 0.5:
            yield from self._enrolment()
        yield from self._held(OVERDUE_AFTER, "overdue")
        points = [f"Starts in spring, says {_of(self._contact)}", "Small teams"]
        yield self._interviews("take-notes", {"text": f"An opening at {_of(self._interview)}.", "points": points})
        told, act = yield from self._recorded()
        chance = self._rng.random()
        if chance < 0.2:
            return
        pause = self._about_then()
        if chance < 0.4:
            yield self._leads("drop", {"why": "Too far away."}, told, pause=pause, ends=(act,))
            return
        yield self._leads("act-on", {"what": "I have applied."}, told, pause=pause, ends=(act,))
        due = self._soon()
        came = self._leads("come-to-something", {"what": "They asked me in."}, self._a_day_before(due))
        report = notification_id("report_back", self._lead, event_id(came.command_id, 0), "due")
        yield replace(came, arms={report: due})
        if self._rng.random() < 0.7:
            yield self._leads("report-back", {"channel": "email"}, pause=self._about_then(), ends=(report,))

    def _recorded(self) -> Generator[Wish, None, tuple[datetime, UUID]]:
        """The seeker was told of an opening so long ago that to act on it falls due; when, and the notification."""
        due = self._soon()
        whose = {"seeker_id": self._seeker, "contact_id": self._contact, "interview_id": self._interview}
        opening = {**{name: str(id) for name, id in whose.items()}, "kind": "job_opening"}
        told = self._a_day_before(due)
        record = self._leads("record", {**opening, "what": f"Editor at {_of(self._lead)}"}, told)
        act = notification_id("act_on_job_opening", self._lead, event_id(record.command_id, 0), "due")
        yield replace(record, arms={act: due})
        return told, act

    def _enrolment(self) -> Wishes:
        """In the programme of many: all ask for it by the same command, so that it begins by whoever comes first, and
        whoever comes later is told that it did."""
        create = self._wish("programme", self._programme, "create", {"title": "First steps"})
        yield replace(create, command_id=self._create_programme)
        yield self._wish("programme", self._programme, "enrol-participant", {"seeker_id": str(self._seeker)})

    def _rivalry(self) -> Wishes:
        """Several know better where somebody works, and each must be heard: most of them on what they saw alone."""
        contact = self._id()
        yield self._wish("contact", contact, "add", {"name": f"Eva {_of(contact)}", "source": "event"})
        first, *rivals = (self._correction(contact) for _ in range(RIVALS))
        yield replace(first, rivals=tuple(rivals))

    def _correction(self, contact: UUID) -> Wish:
        seen = 1 if self._rng.random() < 0.75 else None
        look = self._rng.random() < 0.5
        body = {"employer": f"Press {_of(self._id())}"}
        return self._wish("contact", contact, "correct-details", body, expected=seen, look=look)

    def _kept_in_touch(self) -> Wishes:
        """The next word is put off by some seconds only, and then not wanted any more."""
        pair = {"seeker_id": str(self._seeker), "contact_id": str(self._contact)}
        due = self._soon()
        until = {"until": due.isoformat()}
        snooze = self._wish("relationship", self._tie, "snooze", {**pair, **until}, may_be_refused=("already_over",))
        word = notification_id("keep_in_touch", self._tie, event_id(snooze.command_id, 0), "due")
        yield replace(snooze, arms={word: due})
        chance = self._rng.random()
        if chance < 0.5:
            verb = self._rng.choice(("pause", "end"))
            yield self._wish("relationship", self._tie, verb, pair, pause=self._about_then(), ends=(word,))
        elif chance < 0.8:
            yield self._silence(word, "keep_in_touch", about_contact=True)

    def _held(self, due_after: timedelta, stage: str, **how: Any) -> Generator[Wish, None, Wish]:
        """The conversation took place, so long ago that a stage of the thank-you falls due."""
        due = self._soon()
        held = self._interviews("hold", {"minutes": 20, "format": "email"}, due - due_after, **how)
        reminder = notification_id("thank_you", self._interview, event_id(held.command_id, 0), stage)
        held = replace(held, arms={reminder: due})
        yield held
        return held

    def _scheduled(self, starts_at: datetime, policy: str, due: datetime) -> Generator[Wish, None, UUID]:
        """It will, or should, take place then, so that a policy's first reminder falls due; its notification."""
        appointment = {"starts_at": starts_at.isoformat(), "minutes": 20, "time_zone": self._zone, "format": "phone"}
        schedule = self._interviews("schedule", appointment, self._ago(hours=30))
        reminder = notification_id(policy, self._interview, event_id(schedule.command_id, 0), "due")
        yield replace(schedule, arms={reminder: due})
        return reminder

    def _silence(self, reminder: UUID, policy: str, *, about_contact: bool) -> Wish:
        """What makes a reminder needless or puts it off, whatever it is of; or only one that reaches the contact."""
        ways = ["mute", "leave", "move", *(["ask", "forget"] * 2 if about_contact else [])]
        how: dict[str, Any] = {"pause": self._about_then(), "ends": (reminder,)}
        match self._rng.choice(ways):
            case "mute":
                return self._seekers("change-preferences", {"muted": [policy]}, **how)
            case "leave":
                return self._seekers("leave", {}, **how)
            case "move":  # to where it is night
                zone = zone_where_it_is(NIGHT, self._clock())
                return self._seekers("relocate", {"time_zone": zone}, puts_off=True, **how)
            case "ask":
                return self._contacts("ask-not-to-be-contacted", {}, **how)
            case _:
                return self._contacts("forget", {}, **how)

    def _seekers(self, verb: str, body: dict[str, Any], at: datetime | None = None, **how: Any) -> Wish:
        return self._wish("seeker", self._seeker, verb, body, at, **how)

    def _contacts(self, verb: str, body: dict[str, Any], at: datetime | None = None, **how: Any) -> Wish:
        return self._wish("contact", self._contact, verb, body, at, **how)

    def _interviews(self, verb: str, body: dict[str, Any], at: datetime | None = None, **how: Any) -> Wish:
        return self._wish("interview", self._interview, verb, body, at, **how)

    def _leads(self, verb: str, body: dict[str, Any], at: datetime | None = None, **how: Any) -> Wish:
        return self._wish("lead", self._lead, verb, body, at, **how)

    def _answers(self, notification: UUID, verb: str, body: dict[str, Any], **how: Any) -> Wish:
        how["may_be_refused"] = ("unknown_notification", "out_of_order", "already_done", "already_over")
        return self._wish("notification", notification, verb, body, **how)

    def _wish(
        self, category: str, id: UUID, verb: str, body: dict[str, Any], at: datetime | None = None, **how: Any
    ) -> Wish:
        chance = self._rng.random()
        how.setdefault("again", chance < 0.1)
        # Of copies on their way at the same time one may be refused, for that moment, and another be accepted.
        how.setdefault("to_all", 0.1 <= chance < 0.15 and "may_be_refused" not in how)
        how.setdefault("look", 0.15 <= chance < 0.25)
        return Wish(self._tenant, category, id, verb, self._id(), body, at, **how)

    def _id(self) -> UUID:
        return _id_of(self._rng)

    def _ago(self, *, hours: float) -> datetime:
        return self._clock() - timedelta(hours=hours)

    def _soon(self) -> datetime:
        return self._clock() + timedelta(seconds=self._rng.uniform(SOONEST, LATEST))

    def _a_day_before(self, due: datetime) -> datetime:
        return due.astimezone(ZoneInfo(self._zone)) - ONE_WORKING_DAY

    def _about_then(self) -> float:
        """Seconds: from long before a reminder to about when it falls due, where either may be first."""
        return self._rng.uniform(0, LATEST) if self._rng.random() < 0.7 else 0.0


def _id_of(rng: Random) -> UUID:
    return UUID(int=rng.getrandbits(128), version=4)


def _of(id: UUID) -> str:
    """A name that nobody else has, so that what was written for one is never taken for what was for another."""
    return id.hex[:12]


def life(seed: str, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Life:
    """The same wishes for the same seed, but for their times. Lives whose seeds are the same before the last `/` have
    one programme in each tenant."""
    return Life(Random(seed), clock, seed.rpartition("/")[0])
