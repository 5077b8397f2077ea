"""A small history and what follows from it for timing, folded the way a projector does."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID, uuid5

from shared.domain import interview, lead, notification, programme, relationship, seeker
from shared.domain.identity import relationship_id
from shared.domain.kernel import Event
from shared.envelope import Recorded
from shared.timing.contact import evolve_contact, wishing_contact
from shared.timing.endings import Facts, endings
from shared.timing.policies import Policies, default_policies
from shared.timing.recipient import Recipient, assigned_programme, evolve_recipient, recipients
from shared.timing.routing import subjects
from shared.timing.settling import End, Fire, Settlement, settle
from shared.timing.subject import Subject, evolve
from shared.timing.timers import Timer, timers

SPACE = UUID("00000000-0000-4000-8000-000000000000")
TENANT = "tenant"


def named(name: str) -> UUID:
    return uuid5(SPACE, name)


SEEKER, CONTACT, INTERVIEW, LEAD = named("seeker"), named("contact"), named("interview"), named("lead")
PROGRAMME, COACH, INTRODUCER = named("programme"), named("coach"), named("introducer")
RELATIONSHIP = relationship_id(SEEKER, CONTACT)


def utc(text: str) -> datetime:
    """`2026-03-29 06:00` as an instant."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def at(text: str) -> datetime:
    """`2026-03-28T20:30+01:00` as an instant."""
    return datetime.fromisoformat(text).astimezone(UTC)


def local(text: str) -> datetime:
    """`2026-03-29T03:30` as a wall clock shows it."""
    return datetime.fromisoformat(text)


@dataclass
class Story:
    """Events go in by `tell`; `timers` are what is pending, `endings` what ended without anybody being told."""

    time_zone: str = "Europe/Berlin"
    country: str | None = None
    policies: Policies = field(default_factory=default_policies)
    registered: bool = True
    position: int = 0
    subjects: dict[UUID, Subject] = field(default_factory=dict)
    recipients: dict[UUID, Recipient] = field(default_factory=dict)
    closed: set[UUID] = field(default_factory=set)
    timers: dict[UUID, Timer] = field(default_factory=dict)
    endings: dict[UUID, notification.Withdrawn] = field(default_factory=dict)
    _versions: Counter[UUID] = field(default_factory=Counter)
    """Of each stream."""

    def __post_init__(self) -> None:
        if self.registered:
            self.registers("2025-12-01T10:00+00:00")

    def tell(self, id: UUID, event: Event, when: str, written: str | None = None) -> Recorded[Event]:
        """Record an event that happened at `when` and was written down then too, unless told."""
        return self._record(id, event, at(when), at(written or when))

    def _record(self, id: UUID, event: Event, occurred: datetime, recorded: datetime) -> Recorded[Event]:
        self.position += 1
        self._versions[id] += 1
        cause = named(f"command {self.position}")
        e = Recorded(
            self.position,
            1,
            TENANT,
            event.type.partition(".")[0],
            id,
            self._versions[id],
            named(f"event {self.position}"),
            event.type,
            event.schema_version,
            occurred,
            recorded,
            "unknown",
            cause,
            cause,
            cause,
            event,
        )
        self._fold(e)
        return e

    def _fold(self, e: Recorded[Event]) -> None:
        seekers = set(recipients(e))
        if programme_id := assigned_programme(e):
            everybody = self.recipients.items()
            seekers |= {k for k, r in everybody if any(n.programme_id == programme_id for n in r.enrolments)}
        touched = set(subjects(e))
        before = {id: self._facts(id) for id in self.subjects}
        for id in seekers:
            self.recipients[id] = evolve_recipient(id, self.recipients.get(id), e)
        if contact_id := wishing_contact(e):
            touched |= {k for k, s in self.subjects.items() if contact_id in s.people}
            self.closed.discard(contact_id)
            self.closed |= {contact_id} if evolve_contact(None, e) else set()
        for id in touched:
            evolved = evolve(id, self.subjects.get(id), e, self.policies, closed=self.closed)
            if evolved is not None:
                self.subjects[id] = evolved
        touched |= {k for k, s in self.subjects.items() if s.seeker_id in seekers}
        for id in touched:
            self._compare(id, before.get(id, Facts(None, None)), e)

    def _facts(self, id: UUID) -> Facts:
        subject = self.subjects.get(id)
        return Facts(subject, self.recipients.get(subject.seeker_id) if subject else None)

    def _compare(self, id: UUID, before: Facts, e: Recorded[Event]) -> None:
        after = self._facts(id)
        others = {k: t for k, t in self.timers.items() if t.subject_id != id}
        self.timers = others | timers(*after, self.policies)
        ended = endings(before, after, self.policies, e)
        self.endings |= ended
        for withdrawn, event in ended.items():
            self._record(withdrawn, event, e.recorded_at, e.recorded_at)

    def settle(self, timer: Timer, now: datetime, fired_today: int = 0) -> Settlement:
        """Judge a timer and, as the projector would, record the event that it ends with."""
        result = settle(timer, now, self.recipients.get(timer.seeker_id), fired_today, self.policies)
        if isinstance(result, Fire | End):
            self._record(timer.id, result.event, now, now)
        if isinstance(result, End):
            self.endings[timer.id] = result.event
        return result

    def run_until(self, now: str) -> list[tuple[str, str]]:
        """Fire all that is due up to a moment, each on time; gives (policy, stage) of what somebody was told."""
        told = []
        while due := sorted((t for t in self.timers.values() if t.due_at <= at(now)), key=lambda t: (t.due_at, t.id)):
            result = self.settle(due[0], due[0].due_at)
            if isinstance(result, Fire):
                told.append((due[0].policy, due[0].stage))
        return told

    def timer(self, policy: str, stage: str = "due") -> Timer:
        """The one pending timer of a policy's stage."""
        (found,) = [t for t in self.timers.values() if (t.policy, t.stage) == (policy, stage)]
        return found

    def timer_of(self, subject_id: UUID, stage: str = "due") -> Timer:
        """The one pending timer of a stage of a subject's."""
        (found,) = [t for t in self.timers.values() if (t.subject_id, t.stage) == (subject_id, stage)]
        return found

    def due(self, policy: str) -> dict[str, datetime]:
        """Stage → instant of what is pending."""
        found = [t for t in self.timers.values() if t.policy == policy]
        return {t.stage: t.due_at for t in sorted(found, key=lambda t: t.due_at)}

    @property
    def over(self) -> set[UUID]:
        """Ids of all notifications that ended without anybody being told."""
        others = {other.id for ending in self.endings.values() for other in ending.others}
        return self.endings.keys() | others

    def ended(self, policy: str) -> dict[str, tuple[str, str]]:
        """Stage → reason and code of what ended without anybody being told."""
        ended = [e for e in self.endings.values() if e.rule.policy == policy]
        return {stage: (e.reason, e.because) for e in ended for stage in e.stages}

    # The events that most stories need

    def registers(self, when: str, goal_date: str | None = None) -> None:
        self.tell(
            SEEKER,
            seeker.Registered.model_validate(
                {"name": "Ada", "time_zone": self.time_zone, "country": self.country, "goal_date": goal_date}
            ),
            when,
        )

    def reaches(self, when: str, kind: str = "found_job", **said: object) -> None:
        self.tell(SEEKER, seeker.OutcomeRecorded.model_validate({"kind": kind, **said}), when)

    def moves(self, when: str, time_zone: str, country: str | None = None) -> None:
        self.tell(SEEKER, seeker.Moved(time_zone=time_zone, country=country), when)

    def prefers(self, when: str, **wishes: object) -> None:
        self.tell(SEEKER, seeker.PreferencesChanged.model_validate(wishes), when)

    def enrols(self, when: str, coach: UUID | None = COACH) -> Recorded[Event]:
        enrolled = programme.ParticipantEnrolled(seeker_id=SEEKER, coach_id=coach)
        return self.tell(PROGRAMME, enrolled, when)

    def plans(
        self,
        when: str,
        contacts: tuple[UUID, ...] = (CONTACT,),
        id: UUID = INTERVIEW,
        programme_id: UUID | None = None,
    ) -> None:
        planned = interview.Planned(
            seeker_id=SEEKER, contact_ids=contacts, purpose="field", about="Design", programme_id=programme_id
        )
        self.tell(id, planned, when)

    def asks(self, when: str) -> None:
        sent = interview.RequestSent(
            seeker_id=SEEKER, contact_ids=(CONTACT,), channel="email", minutes=30, intent="To learn"
        )
        self.tell(INTERVIEW, sent, when)

    def follows_up(self, when: str, number: int = 1) -> None:
        again = interview.RequestFollowedUp(seeker_id=SEEKER, contact_ids=(CONTACT,), channel="email", number=number)
        self.tell(INTERVIEW, again, when)

    def schedules(
        self,
        when: str,
        starts: str,
        minutes: int = 30,
        again: bool = False,
        contacts: tuple[UUID, ...] = (CONTACT,),
    ) -> Recorded[Event]:
        kind = interview.Rescheduled if again else interview.Scheduled
        event = kind(
            seeker_id=SEEKER,
            contact_ids=contacts,
            starts_at=at(starts),
            time_zone=self.time_zone,
            minutes=minutes,
            format="video",
        )
        return self.tell(INTERVIEW, event, when)

    def holds(
        self,
        when: str,
        written: str | None = None,
        introduced_by: tuple[UUID, ...] = (),
        id: UUID = INTERVIEW,
        contacts: tuple[UUID, ...] = (CONTACT,),
    ) -> Recorded[Event]:
        held = interview.Held(
            seeker_id=SEEKER, contact_ids=contacts, format="video", minutes=30, introduced_by=introduced_by
        )
        return self.tell(id, held, when, written)

    def thanks(
        self, when: str, complete: bool = True, thanked: tuple[UUID, ...] = (CONTACT,), written: str | None = None
    ) -> Recorded[Event]:
        event = interview.Thanked(
            seeker_id=SEEKER, contact_ids=thanked, how="email", thanked_ids=thanked, complete=complete
        )
        return self.tell(INTERVIEW, event, when, written)

    def happens(self, kind: type[interview.InterviewEvent], when: str, **said: object) -> None:
        self.tell(INTERVIEW, kind.model_validate({"seeker_id": SEEKER, "contact_ids": (CONTACT,), **said}), when)

    def between(
        self,
        event_class: type[relationship.RelationshipEvent],
        when: str,
        contact: UUID = CONTACT,
        written: str | None = None,
        /,
        **said: object,
    ) -> Recorded[Event]:
        event = event_class.model_validate({"seeker_id": SEEKER, "contact_id": contact, **said})
        return self.tell(relationship_id(SEEKER, contact), event, when, written)

    def touches(self, when: str, contact: UUID = CONTACT, written: str | None = None) -> Recorded[Event]:
        return self.between(relationship.TouchpointRecorded, when, contact, written, kind="progress_update")

    def leads(self, when: str, kind: str = "referral", until: str | None = None) -> None:
        said = {"kind": kind, "what": "Read it", "until": until}
        event = lead.Recorded.model_validate({"seeker_id": SEEKER, "contact_id": CONTACT, **said})
        self.tell(LEAD, event, when)

    def pursues(self, event: type[lead.LeadFollowed], when: str, kind: str = "referral") -> None:
        self.tell(LEAD, event.model_validate({"seeker_id": SEEKER, "contact_id": CONTACT, "kind": kind}), when)


def fired(story: Story, policy: str, stage: str = "due") -> notification.Due:
    timer = story.timer(policy, stage)
    result = story.settle(timer, timer.due_at)
    assert isinstance(result, Fire)
    return result.event


def answers(
    story: Story, due: notification.Due, event: type[notification.NotificationEvent], when: str, **said: object
) -> None:
    same = {name: getattr(due, name) for name in notification.NotificationEvent.model_fields}
    story.tell(id_of(due), event.model_validate({**same, **said}), when)


def id_of(due: notification.Due) -> UUID:
    return UUID(due.dedupe_key)
