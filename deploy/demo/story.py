"""The story: a coach arranges one conversation, and it promises eight introductions.

It is the one that the first article of the project's sources tells, with fictitious names. Each step is a command as a
platform would send it; most are dated over the last weeks, as when a seeker writes up what happened.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from shared.domain.conversation import propose
from shared.domain.identity import relationship_id

THANK_YOU_IN = 12
"""Seconds until the thank-you falls due, live: two hours after the conversation ended."""
KEEP_IN_TOUCH_IN = 20
"""Seconds until it is time to be in touch with Ruth: thirty days after she was thanked."""

_PEOPLE = (
    ("Priya Raman", "Lumen & Oak", "Brand strategist"),
    ("Jonas Weidmann", "Harbour Light Radio", "Audience lead"),
    ("Adaeze Obi", "Northgate Museums", "Head of communications"),
    ("Tomás Ferreira", "Fieldnote Studio", "Creative director"),
    ("Hana Sato", "Kiteworks Outdoor", "Marketing manager"),
    ("Samuel Mensah", "Blue Door Theatre", "Publicist"),
    ("Ingrid Halvorsen", "Tideline Foods", "Product marketing"),
    ("Luca Moretti", "Ponte Analytics", "Campaign analyst"),
)


@dataclass(frozen=True, slots=True)
class Step:
    """One command of the story, and the sentence that tells it."""

    says: str
    command: str
    id: UUID
    at: datetime
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Story:
    """Everything that the telling needs; ids follow from `run`, so that each run is a story of its own."""

    run: UUID
    now: datetime
    zone: str

    def id(self, name: str) -> UUID:
        return uuid5(self.run, name)

    @property
    def seeker(self) -> UUID:
        return self.id("Maya")

    @property
    def agency_contact(self) -> UUID:
        return self.id("Theo")

    @property
    def interview(self) -> UUID:
        return self.id("coffee with Theo")

    @property
    def local(self) -> datetime:
        """The seeker's wall clock."""
        return self.now.astimezone(ZoneInfo(self.zone))

    def ago(self, days: float = 0, *, hours: float = 0, minutes: float = 0) -> datetime:
        """So long before now."""
        return self.now - timedelta(days=days, hours=hours, minutes=minutes)

    def on(self, days_ago: int, hour: int, minute: int = 0) -> datetime:
        """That hour of the seeker's day, so many days ago."""
        local = self.local - timedelta(days=days_ago)
        return local.replace(hour=hour, minute=minute, second=0, microsecond=0)

    def pair(self, contact: UUID) -> dict[str, str]:
        return {"seeker_id": str(self.seeker), "contact_id": str(contact)}

    def questions(self) -> dict[str, Any]:
        """Ten questions and some in reserve, as the bank proposes them for a field."""
        proposal = propose("field", field="marketing")
        return {
            "questions": [{"text": each.text, "topic": each.topic} for each in proposal.questions],
            "reserve": [{"text": each.text, "topic": each.topic} for each in proposal.reserve],
        }


def weeks_before(story: Story) -> Iterator[Step]:
    """What is written up at once: a first conversation a month ago, the coach's match, and today's conversation."""
    maya, ruth, theo = story.seeker, story.id("Ruth"), story.agency_contact
    programme, coach = story.id("Harbour Odyssey"), story.id("coach Dana")
    first, coffee = story.id("call with Ruth"), story.interview
    zone = story.zone
    yield Step(
        "Dana Whitfield starts the programme Harbour Odyssey", "programme.create", programme, story.on(46, 10),
        {"title": "Harbour Odyssey", "about": "One conversation for each participant", "fields": ["marketing"]},
    )  # fmt: skip
    yield Step(
        "and coaches it herself", "programme.assign_coach", programme, story.on(46, 11),
        {"coach_id": str(coach), "name": "Dana Whitfield"},
    )  # fmt: skip
    yield Step(
        "Maya Lindqvist registers: a career changer who wants to learn about marketing", "seeker.register", maya,
        story.on(45, 12),
        {"name": "Maya Lindqvist", "email": "maya@example.org", "stage": "career_changer", "fields": ["marketing"],
         "goal": "Work in marketing", "goal_date": str((story.now + timedelta(days=200)).date()), "time_zone": zone,
         "locale": "en"},
    )  # fmt: skip
    yield Step("and enrols", "programme.enrol_participant", programme, story.on(44, 12), {"seeker_id": str(maya)})
    yield Step(
        "She remembers Ruth Castellan from the alumni network", "contact.add", ruth, story.on(38, 17),
        {"name": "Ruth Castellan", "source": "alumni_network", "employer": "Gull Press", "position": "Publicist",
         "seeker_id": str(maya)},
    )  # fmt: skip
    yield Step(
        "plans a first conversation with her", "interview.plan", first, story.on(38, 18),
        {"seeker_id": str(maya), "contact_ids": [str(ruth)], "purpose": "field", "about": "Marketing"},
    )  # fmt: skip
    yield Step(
        "asks for twenty minutes by e-mail", "interview.send_request", first, story.on(37, 9),
        {"channel": "email", "minutes": 20, "intent": "To learn how people find their way into marketing",
         "personalised_by": "Her talk at the alumni evening"},
    )  # fmt: skip
    yield Step("Ruth says yes", "interview.accept", first, story.on(35, 9))
    yield Step(
        "They agree on a call", "interview.schedule", first, story.on(34, 10),
        {"starts_at": story.on(31, 11).isoformat(), "time_zone": zone, "minutes": 20, "format": "phone"},
    )  # fmt: skip
    yield Step("They talk", "interview.hold", first, story.on(31, 11, 22), {"minutes": 22})
    yield Step(
        "A month ago to the minute, Maya thanks her", "interview.thank", first,
        story.on(30, story.local.hour, story.local.minute) + timedelta(seconds=story.local.second + KEEP_IN_TOUCH_IN),
        {"how": "email"},
    )  # fmt: skip
    yield Step(
        "Theo Okafor of an advertising agency is in the programme's directory", "contact.add", theo, story.on(14, 9),
        {"name": "Theo Okafor", "source": "programme_directory", "employer": "Beacon Row", "position": "Art director",
         "fields": ["marketing"], "capacity": 2},
    )  # fmt: skip
    pair = {"seeker_id": str(maya), "contact_id": str(theo)}
    yield Step(
        "Dana matches the two", "programme.propose_match", programme, story.on(13, 10), {**pair, "field": "marketing"}
    )
    yield Step("Theo is glad to", "programme.accept_match", programme, story.on(12, 10), pair)
    yield Step(
        "Maya plans the conversation", "interview.plan", coffee, story.on(12, 12),
        {"seeker_id": str(maya), "contact_ids": [str(theo)], "purpose": "field", "about": "Marketing",
         "programme_id": str(programme)},
    )  # fmt: skip
    yield Step(
        "asks him for thirty minutes over a coffee", "interview.send_request", coffee, story.on(12, 13),
        {"channel": "email", "minutes": 30, "intent": "To learn what agency work is like", "format": "coffee",
         "personalised_by": "His poster series for the harbour festival"},
    )  # fmt: skip
    yield Step("He accepts", "interview.accept", coffee, story.on(10, 9))
    yield Step(
        "They fix a time", "interview.schedule", coffee, story.on(9, 9),
        {"starts_at": story.on(1, 10).isoformat(), "time_zone": zone, "minutes": 30, "format": "coffee",
         "place": "The kiosk at the north quay"},
    )  # fmt: skip
    yield Step(
        "Something comes up for Theo, and the seeker yields", "interview.reschedule", coffee, story.on(4, 16),
        {"starts_at": story.ago(hours=2, minutes=40).isoformat(), "time_zone": zone, "minutes": 30,
         "format": "coffee", "place": "The agency, second floor", "asked_by": "contact"},
    )  # fmt: skip
    yield Step(
        "She does her homework", "interview.record_research", coffee, story.on(3, 18),
        {"person": "Began as a sign painter", "company": "Twelve people, three of them interns once"},
    )  # fmt: skip
    yield Step(
        "knows what she wants from it", "interview.set_objectives", coffee, story.on(3, 19),
        {"objectives": ["What a day is like", "Which skills count", "Whom else to talk to"]},
    )  # fmt: skip
    yield Step(
        "brings ten questions, and some in reserve", "interview.choose_questions", coffee, story.on(3, 20),
        story.questions(),
    )  # fmt: skip
    yield Step("and is ready", "interview.prepare", coffee, story.on(3, 20, 30))
    yield Step("Theo confirms", "interview.confirm", coffee, story.on(1, 9))
    # Written up together with its appointment: else it is asked how it went, at once, by whoever is quicker.
    ended = story.ago(hours=2) + timedelta(seconds=THANK_YOU_IN)
    yield Step("Today they talk for forty minutes", "interview.hold", coffee, ended, {"minutes": 40})


def today(story: Story) -> Iterator[Step]:
    """What the conversation gave."""
    written = story.ago(minutes=10)
    yield Step(
        "He brings in the whole agency and shows her round", "interview.take_notes", story.interview, written,
        {"points": ["Met the whole agency, and was shown round"],
         "advice": [{"about": "skills", "text": "Learn to write a brief on one page"}],
         "resources": [{"kind": "blog", "title": "The One-Page Brief"}]},
    )  # fmt: skip
    yield Step(
        "It clicked", "interview.record_reflection", story.interview, written,
        {"learned": "Agencies are looser, and kinder, than I feared", "clicked": 5},
    )  # fmt: skip
    for person, employer, position in _PEOPLE:
        yield Step(
            f"He promises to introduce {person} of {employer}", "lead.record", story.id(f"lead {person}"), written,
            {**story.pair(story.agency_contact), "interview_id": str(story.interview), "kind": "promised_introduction",
             "what": f"Introduction to {person}, {position}", "person": person, "employer": employer},
        )  # fmt: skip


def after_the_reminders(story: Story) -> Iterator[Step]:
    """What Maya does when she has been reminded."""
    yield Step("Maya writes Theo a card", "interview.thank", story.interview, story.now, {"how": "handwritten_note"})
    ruth = story.id("Ruth")
    yield Step(
        "and tells Ruth how it is going", "relationship.record_touchpoint", relationship_id(story.seeker, ruth),
        story.now, {**story.pair(ruth), "kind": "progress_update", "channel": "email"},
    )  # fmt: skip
    priya, pair = story.id("Priya"), story.pair(story.agency_contact)
    yield Step(
        "Theo keeps his first promise: Priya Raman", "contact.add", priya, story.now,
        {"name": "Priya Raman", "source": "referral", "employer": "Lumen & Oak", "seeker_id": pair["seeker_id"],
         "introduced_by": pair["contact_id"]},
    )  # fmt: skip
    yield Step(
        "the lead came to something", "lead.come_to_something", story.id("lead Priya Raman"), story.now,
        {"new_contact_id": str(priya)},
    )  # fmt: skip
    yield Step(
        "and the next conversation is planned", "interview.plan", story.id("talk with Priya"), story.now,
        {"seeker_id": str(story.seeker), "contact_ids": [str(priya)], "purpose": "role", "about": "Brand strategist"},
    )  # fmt: skip


def not_a_job_interview(story: Story) -> Step:
    """A list that asks for what the conversation is not about."""
    asked = ["What does a typical day look like for you?", "Would you hire me, or pass my CV to someone who would?"]
    return Step(
        "Maya's list for Priya asks for a job", "interview.choose_questions", story.id("talk with Priya"), story.now,
        {"questions": [{"text": text} for text in asked]},
    )  # fmt: skip
