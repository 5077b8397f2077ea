"""What one made-up seeker does over some months: a generator of wishes that is told whether each was granted."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from uuid import UUID

from shared.domain import contact, interview, lead, programme, relationship, seeker
from shared.domain.identity import relationship_id
from shared.domain.kernel import Command, Stream
from tests.synthetic.texts import EMPLOYERS, FIELDS, MESSAGES, QUESTIONS, ROLES, ZONES, full_name, sentences


@dataclass(frozen=True, slots=True)
class Step:
    at: datetime
    stream: Stream
    command: Command


Steps = Generator[Step, bool, bool]
"""Yields steps, is sent whether each was accepted, returns whether it went well."""


def new_id(rng: Random) -> UUID:
    return UUID(int=rng.getrandbits(128), version=4)


def new_contact(rng: Random, **origin: object) -> contact.Add:
    name = full_name(rng)
    return contact.Add.model_validate(
        {
            "name": name,
            "email": f"{name.lower().replace(' ', '.')}@example.org",
            "employer": rng.choice(EMPLOYERS),
            "position": rng.choice(ROLES),
            "fields": [rng.choice(FIELDS)],
            "time_zone": rng.choice(ZONES)[0],
            "source": "alumni_network",
        }
        | origin
    )


@dataclass
class Life:
    rng: Random
    at: datetime
    programme_id: UUID
    community: list[UUID]
    """Contacts whom anybody of the programme may ask."""
    id: UUID = field(init=False)
    promised: list[tuple[UUID, UUID]] = field(default_factory=list)
    """(lead, contact who promised)."""
    field_of_work: str = field(init=False)

    def __post_init__(self) -> None:
        self.id = new_id(self.rng)
        self.field_of_work = self.rng.choice(FIELDS)
        self.zone, self.country = self.rng.choice(ZONES)

    def live(self) -> Steps:
        """From registration to a verdict on the field."""
        yield from self._begin()
        for _ in range(self.rng.choice((1, 2, 2, 3, 5))):
            contact_id = yield from self._find_contact()
            yield from self._converse(contact_id)
            self._pass(5, 20)
        verdict = self.rng.choice(["pursue", "keep_exploring", "not_for_me"])
        yield self._to_self(
            seeker.RecordVerdict.model_validate(
                {"field": self.field_of_work, "verdict": verdict, "why": sentences(self.rng, 2, 4)}
            )
        )
        return True

    def _begin(self) -> Steps:
        name = full_name(self.rng)
        yield self._to_self(
            seeker.Register(
                name=name,
                email=f"{name.lower().replace(' ', '.')}@example.net",
                stage=self.rng.choice(("student", "graduate", "career_changer", "laid_off")),
                fields=(self.field_of_work,),
                goal=sentences(self.rng, 1, 2),
                goal_date=(self.at + timedelta(days=self.rng.randint(90, 200))).date(),
                time_zone=self.zone,
                country=self.country,
                locale="en",
            )
        )
        yield self._step("programme", self.programme_id, programme.EnrolParticipant(seeker_id=self.id))
        self._pass(0, 3)
        yield self._to_self(seeker.WriteIntroduction(text=sentences(self.rng, 8, 14)))
        if self.rng.random() < 0.3:
            yield self._to_self(seeker.ChangePreferences(digest=True))
        return True

    def _find_contact(self) -> Generator[Step, bool, UUID]:
        """A promised one, one of the programme's community, or one of the seeker's own finding."""
        if self.promised and self.rng.random() < 0.8:
            lead_id, connector_id = self.promised.pop()
            contact_id = new_id(self.rng)
            yield self._step("contact", contact_id, new_contact(self.rng, source="referral", seeker_id=self.id))
            yield self._step("lead", lead_id, lead.ComeToSomething(new_contact_id=contact_id))
            self._pass(0, 2)
            yield self._step("lead", lead_id, lead.ReportBack(channel="email", note=sentences(self.rng, 1, 3)))
            yield self._to_relationship(
                relationship.RecordTouchpoint(
                    seeker_id=self.id, contact_id=connector_id, kind="thanks", note=sentences(self.rng, 1, 2)
                )
            )
            return contact_id
        if self.rng.random() < 0.5:
            return self.rng.choice(self.community)
        contact_id = new_id(self.rng)
        yield self._step("contact", contact_id, new_contact(self.rng, source="cold", seeker_id=self.id))
        return contact_id

    def _converse(self, contact_id: UUID) -> Steps:
        """One interview, as far as it goes."""
        rng, id = self.rng, new_id(self.rng)
        plan = interview.Plan(
            seeker_id=self.id,
            contact_ids=(contact_id,),
            purpose="field",
            about=self.field_of_work,
            programme_id=self.programme_id,
        )
        if not (yield self._step("interview", id, plan)):
            return False
        request = interview.SendRequest(
            channel="email",
            minutes=rng.choice((20, 30)),
            intent=f"I would like to learn how people work in {self.field_of_work.lower()}.",
            personalised_by=sentences(rng, 1, 2),
            message=rng.choice(MESSAGES),
        )
        if not (yield self._step("interview", id, request)):
            return False
        if not (yield from self._get_answer(id)):
            return False
        yield from self._prepare(id)
        held = yield from self._meet(id)
        if held:
            yield from self._follow_through(id, contact_id)
        return held

    def _get_answer(self, id: UUID) -> Steps:
        self._pass(1, 6)
        for _ in range(2):
            if self.rng.random() > 0.2:
                break
            yield self._step("interview", id, interview.FollowUp(channel="email", message=self.rng.choice(MESSAGES)))
            self._pass(5, 8)
        else:
            yield self._step("interview", id, interview.Lapse())
            return False
        if self.rng.random() < 0.12:
            yield self._step("interview", id, interview.Decline(why=sentences(self.rng, 1, 1)))
            return False
        return (yield self._step("interview", id, interview.Accept(note=sentences(self.rng, 1, 2))))

    def _prepare(self, id: UUID) -> Steps:
        rng = self.rng
        chosen = [{"topic": topic, "text": text} for topic, text in rng.sample(QUESTIONS, len(QUESTIONS))]
        for command in (
            interview.RecordResearch(
                person=sentences(rng, 4, 7), company=sentences(rng, 4, 7), industry=sentences(rng, 4, 7)
            ),
            interview.SetObjectives(objectives=tuple(sentences(rng, 1, 1) for _ in range(3))),
            interview.ChooseQuestions.model_validate({"questions": chosen[:9], "reserve": chosen[9:]}),
        ):
            yield self._step("interview", id, command)
            self.at += timedelta(minutes=rng.randint(5, 50))
        return True

    def _meet(self, id: UUID) -> Steps:
        """Agree on a time and meet then."""
        rng = self.rng
        starts_at = self._weekday(self.at + timedelta(days=rng.randint(3, 12)))
        appointment = {
            "starts_at": starts_at,
            "time_zone": self.zone,
            "minutes": 30,
            "format": rng.choice(("coffee", "phone", "video", "in_person")),
            "place": rng.choice(("Café by the station", "Meeting room 2", "https://meet.example.org/room")),
        }
        yield self._step("interview", id, interview.Schedule.model_validate(appointment))
        if rng.random() < 0.15:
            starts_at = self._weekday(starts_at + timedelta(days=rng.randint(1, 7)))
            moved = appointment | {"starts_at": starts_at, "asked_by": "contact", "why": sentences(rng, 1, 1)}
            yield self._step("interview", id, interview.Reschedule.model_validate(moved))
        yield self._step("interview", id, interview.Prepare())
        self.at = max(self.at, starts_at - timedelta(days=1))
        yield self._step("interview", id, interview.Confirm())
        if rng.random() < 0.06:
            yield self._step("interview", id, interview.Cancel(by="contact", why=sentences(rng, 1, 1)))
            return False
        minutes = rng.choice((25, 28, 30, 30, 35))
        self.at = starts_at + timedelta(minutes=minutes)
        return (yield self._step("interview", id, interview.Hold(minutes=minutes)))

    def _follow_through(self, id: UUID, contact_id: UUID) -> Steps:
        """Notes, thanks, leads, and the tie that grows from it."""
        rng = self.rng
        pair = {"seeker_id": self.id, "contact_id": contact_id}
        self.at += timedelta(minutes=rng.randint(20, 200))
        notes = {
            "points": [sentences(rng, 1, 3) for _ in range(rng.randint(4, 7))],
            "advice": [{"about": "skills", "text": sentences(rng, 1, 2)}],
            "text": sentences(rng, 8, 16),
            "resources": [{"kind": "blog", "title": "The Long Draft", "url": "https://example.org/draft"}],
        }
        yield self._step("interview", id, interview.TakeNotes.model_validate(notes))
        reflection = interview.RecordReflection(learned=sentences(rng, 5, 10), clicked=rng.randint(2, 5))
        yield self._step("interview", id, reflection)
        self.at += timedelta(hours=rng.randint(1, 30))
        how = rng.choice(("email", "handwritten_note"))
        yield self._step("interview", id, interview.Thank(how=how, note=sentences(rng, 4, 8)))
        yield self._to_relationship(relationship.Connect.model_validate(pair | {"network": "LinkedIn"}))
        for kind in rng.sample(("promised_introduction", "job_opening", "resource", "advice"), rng.randint(1, 2)):
            yield from self._take_lead(id, contact_id, kind)
        self._pass(20, 40)
        touch = {"kind": "progress_update", "channel": "email", "note": sentences(rng, 3, 7)}
        yield self._to_relationship(relationship.RecordTouchpoint.model_validate(pair | touch))
        return True

    def _take_lead(self, id: UUID, contact_id: UUID, kind: str) -> Steps:
        rng, lead_id = self.rng, new_id(self.rng)
        told = {"seeker_id": self.id, "contact_id": contact_id, "interview_id": id, "kind": kind}
        yield self._step("lead", lead_id, lead.Record.model_validate(told | {"what": sentences(rng, 2, 4)}))
        if kind == "promised_introduction":
            self.promised.append((lead_id, contact_id))
            return True
        self._pass(1, 4)
        yield self._step("lead", lead_id, lead.ActOn(what=sentences(rng, 1, 2)))
        self._pass(1, 5)
        yield self._step("lead", lead_id, lead.ComeToNothing(why=sentences(rng, 1, 1)))
        yield self._step("lead", lead_id, lead.ReportBack(channel="email", note=sentences(rng, 2, 5)))
        return True

    def _step(self, category: str, id: UUID, command: Command) -> Step:
        self.at += timedelta(seconds=self.rng.randint(20, 900))
        return Step(self.at, Stream(category, id), command)

    def _to_self(self, command: Command) -> Step:
        return self._step("seeker", self.id, command)

    def _to_relationship(self, command: relationship.RelationshipCommand) -> Step:
        return self._step("relationship", relationship_id(command.seeker_id, command.contact_id), command)

    def _pass(self, least: int, most: int) -> None:
        """Some days go by."""
        self.at = self._weekday(self.at + timedelta(days=self.rng.randint(least, most)))

    def _weekday(self, at: datetime) -> datetime:
        """Office hours (in UTC) of that day, or of the Monday after a weekend."""
        days = max(0, 7 - at.weekday()) if at.weekday() >= 5 else 0
        later = (at + timedelta(days=days)).replace(
            hour=self.rng.randint(9, 16), minute=self.rng.choice((0, 15, 30, 45))
        )
        return max(later, at)
