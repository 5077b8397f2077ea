"""Folding pages of events: pure, so without database and broker."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.projector.folding.changes import Ending
from services.projector.folding.folder import Folder
from services.projector.folding.read_model import Filed, ReadModel
from services.projector.folding.timing_facts import NOBODY
from services.projector.folding.timing_fold import TimingFold
from services.projector.models import MODELS
from shared.codec import decode
from shared.domain import contact, interview, programme, relationship, seeker
from shared.domain.identity import relationship_id
from shared.domain.kernel import Event
from shared.envelope import Recorded
from shared.timing.policies import default_policies
from shared.timing.timers import Timer, timers
from tests.projector.histories import START, Happening, history, on, recorded
from tests.projector.memory import Memory

SEEKER, ANA, MEETING = UUID(int=1), UUID(int=2), UUID(int=3)
WHOSE: dict[str, Any] = {"seeker_id": SEEKER, "contact_ids": (ANA,)}
REGISTERED = on("seeker", SEEKER, seeker.Registered(name="Mona Quist", time_zone="Europe/Berlin"))
ADDED = on("contact", ANA, contact.Added(name="Ana Reis", source="referral", seeker_id=SEEKER))
HELD = on("interview", MEETING, interview.Held(**WHOSE, format="coffee"))
THANKED = on("interview", MEETING, interview.Thanked(**WHOSE, how="email", thanked_ids=(ANA,)))


def folder(*more: ReadModel[Any]) -> Folder:
    return Folder((*MODELS, *more), TimingFold(default_policies()))


def folded(happenings: Iterable[Happening], sizes: Iterable[int] = (1000,)) -> Memory:
    return Memory(folder()).fold(recorded(list(happenings)), sizes)


@dataclass(frozen=True, slots=True)
class Count:
    events: int


class Fragile(ReadModel[Count]):
    """Counts the events of each interview, and breaks over one that was held."""

    name = "fragile"
    row = Count

    def keys(self, e: Recorded[Event]) -> Iterable[str]:
        if isinstance(e.data, contact.Forgotten):
            raise ValueError("no keys for what is forgotten")
        return (str(e.stream_id),) if e.category == "interview" else ()

    def evolve(self, key: str, row: Count | None, e: Recorded[Event]) -> Count | None:
        if isinstance(e.data, interview.Held):
            raise ValueError("held\0")
        return Count((row.events if row else 0) + 1)

    def file(self, row: Count) -> Filed:
        return Filed()


def with_wishes(happenings: Iterable[Happening]) -> Iterator[Happening]:
    """A history in which contacts ask to be left alone, and offer hours again, at any time, some before the first
    conversation; and in which seekers switch a policy off, and on again."""
    rng = random.Random(11)
    closed: dict[UUID, bool] = {}
    enabled: dict[UUID, bool] = {}
    for each in happenings:
        yield each
        if isinstance(each.event, seeker.Registered):
            enabled[each.stream.id] = True
        if enabled and rng.random() < 0.5:
            id = rng.choice(list(enabled))
            enabled[id] = not enabled[id]
            wishes = {policy: {"enabled": enabled[id]} for policy in ("thank_you", "keep_in_touch")}
            yield on("seeker", id, seeker.PreferencesChanged(overrides=wishes), each.at)
        if isinstance(each.event, contact.Added):
            closed[each.stream.id] = False
        if closed and rng.random() < 0.5:
            id = rng.choice(list(closed))
            closed[id] = not closed[id]
            wish = contact.AskedNotToBeContacted() if closed[id] else contact.HoursOffered(capacity=2)
            yield on("contact", id, wish, each.at)


HISTORY = recorded(list(with_wishes(history(seed=7, seekers=5))))
BY_ONES = Memory(folder()).fold(HISTORY, [1])


@settings(max_examples=25)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=12))
def test_paging_plays_no_part(sizes: list[int]) -> None:
    """The same events lead to the same rows, timers and parked streams, in pages of any size as one by one."""
    by_pages = Memory(folder()).fold(HISTORY, sizes)
    assert by_pages.rows == BY_ONES.rows
    assert by_pages.timers == BY_ONES.timers
    assert by_pages.parked == BY_ONES.parked == {}
    assert BY_ONES.pending
    assert BY_ONES.endings


def test_what_is_switched_off_and_on_again_goes_on() -> None:
    """Given a policy that is switched off and on again in one page, then nothing of its rounds has ended: what is
    pending at the end is pending, as it is page by page."""
    off, again = [
        on("seeker", SEEKER, seeker.PreferencesChanged(overrides={"thank_you": {"enabled": enabled}}))
        for enabled in (False, True)
    ]
    events = recorded([REGISTERED, ADDED, HELD, off, again])
    at_once, one_by_one = Memory(folder()).fold(events, [1000]), Memory(folder()).fold(events, [1])
    assert at_once.timers == one_by_one.timers
    assert not at_once.endings
    assert {timer.stage for timer in at_once.pending.values() if timer.policy == "thank_you"} >= {"due", "overdue"}


def test_a_pause_that_was_over_before_the_round_began_is_the_same_at_once_and_one_by_one() -> None:
    """Given reminders to keep in touch that stand to come, when it is written down that there had been a pause before
    them, which had ended, then the pause ends them and as many others are pending, however that is cut into pages."""
    ana: dict[str, Any] = {"seeker_id": SEEKER, "contact_id": ANA}
    of_ana = relationship_id(SEEKER, ANA)
    thanked = replace(THANKED, at=START + timedelta(days=18))
    paused = on("relationship", of_ana, relationship.Paused(**ana))
    resumed = on("relationship", of_ana, relationship.Resumed(**ana), START + timedelta(days=10))
    by_pages = [folded([REGISTERED, thanked, paused, resumed], [3 - last, 1 + last]) for last in range(2)]
    one_by_one = folded([REGISTERED, thanked, paused, resumed], [1])
    before = folded([REGISTERED, thanked])
    for memory in by_pages:
        assert memory.timers == one_by_one.timers
    assert len(one_by_one.pending) == len(before.pending) == 3
    assert {timer.due_at for timer in one_by_one.pending.values()} == {t.due_at for t in before.pending.values()}
    (ending,) = one_by_one.endings.values()
    assert (ending.event.because, len(ending.event.stages)) == ("relationship.paused", 3)


def test_who_does_not_listen_misses_nothing() -> None:
    """Given any event of a history, then models that have rows for it, and timing where it concerns anybody, are among
    those that say they fold its kind."""
    timing = TimingFold(default_policies())
    for e in map(decode, HISTORY):
        kind = type(e.data)
        assert timing.listens(kind) or timing.concern(e) is NOBODY
        for model in MODELS:
            assert model.folds is not None
            assert kind in model.folds or not list(model.keys(e))


def test_what_is_pending_is_what_follows_from_the_facts() -> None:
    """Given a history folded event by event, then the timers that are pending are exactly those which follow from the
    subjects and recipients at its end."""
    rows = BY_ONES.rows
    expected: dict[UUID, Any] = {}
    for (model, tenant, _), subject in rows.items():
        if model == "timing_subject":
            recipient = rows.get(("timing_recipient", tenant, str(subject.seeker_id)))
            expected |= timers(subject, recipient, default_policies())
    assert {id: timer for (_, id), timer in BY_ONES.pending.items()} == expected


def test_a_fold_that_fails_parks_its_stream_and_leaves_no_trace() -> None:
    """Given a model that breaks over one event, then nothing of that event is in any model or timer, the stream waits
    from there on, and all other streams go on."""
    other = UUID(int=4)
    elsewhere = on("interview", other, interview.Planned(**WHOSE, purpose="field", about="Art"))
    planned = on("interview", MEETING, interview.Planned(**WHOSE, purpose="field", about="Art"))
    events = recorded([REGISTERED, ADDED, planned, HELD, elsewhere, THANKED])
    memory = Memory(folder(Fragile())).fold(events, [1000])
    assert [(each.stream_id, each.position, each.model) for each in memory.parked.values()] == [(MEETING, 4, "fragile")]
    assert memory.parked["acme", MEETING].error == "ValueError: held\\0"
    without = Memory(folder(Fragile())).fold([e for e in events if e.position not in (4, 6)], [1000])
    assert (memory.rows, memory.timers) == (without.rows, without.timers)
    assert memory.rows["fragile", "acme", str(other)] == Count(1)


def test_a_stream_that_was_parked_before_waits() -> None:
    """Given a parked stream, then its later events change nothing, in whatever page they come."""
    memory = Memory(folder(Fragile())).fold(recorded([REGISTERED, HELD]), [1])
    before = dict(memory.rows)
    planned = on("interview", MEETING, interview.Planned(**WHOSE, purpose="field", about="Art"))
    later = [replace(e, position=e.position + 2, version=2) for e in recorded([planned])]
    assert memory.fold(later, [1]).rows == before


def test_an_event_that_can_not_be_routed_parks_its_stream() -> None:
    gone = on("contact", ANA, contact.Forgotten())
    memory = Memory(folder(Fragile())).fold(recorded([ADDED, gone]), [1000])
    assert [each.position for each in memory.parked.values()] == [2]


def test_a_payload_that_is_not_what_its_type_says_parks_its_stream() -> None:
    registered, added = recorded([REGISTERED, ADDED])
    memory = Memory(folder()).fold([replace(registered, data=b'{"name": 3}'), added], [1000])
    assert [(each.stream_id, each.model) for each in memory.parked.values()] == [(SEEKER, "codec")]
    assert ("contact", "acme", str(ANA)) in memory.rows


def test_an_unknown_event_type_ends_the_plan_before_it() -> None:
    """Nothing after it is folded either: what it means to them is not known."""
    registered, strange, added = recorded([REGISTERED, HELD, ADDED])
    plan = folder().plan([registered, replace(strange, type="interview.dreamt"), added], set())
    assert plan.position == 1
    assert [step.event.position for step in plan.steps] == [1]
    assert plan.unknown is not None
    assert plan.unknown.position == 2


def test_a_newer_schema_version_is_unknown_too() -> None:
    [registered] = recorded([REGISTERED])
    plan = folder().plan([replace(registered, schema_version=2)], set())
    assert plan.unknown is not None
    assert plan.position == 0


def pending_of(memory: Memory, policy: str) -> dict[str, Timer]:
    """By stage."""
    return {timer.stage: timer for timer in memory.pending.values() if timer.policy == policy}


def endings_of(memory: Memory, policy: str) -> list[Ending]:
    return [ending for ending in memory.endings.values() if ending.event.rule.policy == policy]


@pytest.mark.parametrize("sizes", [[1], [1000]])
def test_a_thank_you_is_armed_and_disarmed(sizes: list[int]) -> None:
    """Given an interview that was held, then reminders to say thanks are pending; once the seeker has thanked, all of
    them are to be recorded as withdrawn at once, by one event that names what ended them."""
    held = pending_of(folded([REGISTERED, HELD], sizes), "thank_you")
    assert list(held) == ["due", "overdue", "last_call", "coach"]
    memory = folded([REGISTERED, HELD, THANKED], sizes)
    assert not pending_of(memory, "thank_you")
    (ending,) = endings_of(memory, "thank_you")
    assert memory.endings["acme", held["due"].id] is ending
    assert ending.due_at == START
    assert ending.event.stages == tuple(held)
    assert [other.id for other in ending.event.others] == [held[stage].id for stage in list(held)[1:]]
    assert ending.event.reason == "withdrawn"
    assert ending.event.cause is not None
    assert ending.event.cause.position == 3


def test_what_was_told_is_not_pending_any_more() -> None:
    """Given that a notification of a timer is in the log, then its row goes, whether it fell due or was withdrawn."""
    ended = folded([REGISTERED, HELD, THANKED]).endings
    assert ended
    told = [on("notification", id, ending.event) for (_, id), ending in ended.items()]
    after = folded([REGISTERED, HELD, THANKED, *told])
    assert not ended.keys() & after.timers.keys()
    assert after.pending


def test_a_seeker_who_moves_takes_all_timers_along() -> None:
    """Given pending timers of several subjects, when the seeker moves to another zone, then each is due by that
    zone's clock, also those whose subjects have no event in this page."""
    sydney = on("seeker", SEEKER, seeker.Moved(time_zone="Australia/Sydney"))
    for sizes in ([1], [1000]):
        zones = {timer.time_zone for timer in folded([REGISTERED, HELD, sydney], sizes).pending.values()}
        assert zones == {"Australia/Sydney"}


def test_a_seeker_who_leaves_is_told_nothing_any_more() -> None:
    left = on("seeker", SEEKER, seeker.Left())
    memory = folded([REGISTERED, HELD, left], [1])
    assert memory.endings
    assert not memory.pending


def test_a_contact_who_wants_to_be_left_alone_ends_what_would_reach_them() -> None:
    """Given a reminder to follow up a request, when the contact asks not to be contacted, then it is withdrawn; only
    the contact's own stream tells of it."""
    request = on("interview", MEETING, interview.RequestSent(**WHOSE, channel="email", minutes=20, intent="To learn."))
    leave = on("contact", ANA, contact.AskedNotToBeContacted())
    for sizes in ([1], [1000]):
        memory = folded([REGISTERED, ADDED, request, leave], sizes)
        assert not pending_of(memory, "request_follow_up")
        assert [ending.event.because for ending in endings_of(memory, "request_follow_up")] == ["contact_closed"]


@pytest.mark.parametrize("sizes", [[1], [2], [1000]])
def test_what_begins_later_knows_who_wants_to_be_left_alone(sizes: list[int]) -> None:
    """Given a contact who asked not to be contacted before anything was known between the two, then nothing that would
    reach them is pending; it is once they offer hours. Another tenant's contact of that id has said nothing."""
    leave = on("contact", ANA, contact.AskedNotToBeContacted())
    offer = on("contact", ANA, contact.HoursOffered(capacity=3))
    twins = [replace(each, tenant="other") for each in (REGISTERED, HELD)]
    memory = folded([REGISTERED, ADDED, leave, *twins, HELD], sizes)
    assert {timer.tenant for timer in memory.pending.values()} == {"other"}
    again = folded([REGISTERED, ADDED, leave, HELD, offer], sizes)
    assert {timer.policy for timer in again.pending.values()} == {"thank_you", "connect"}
    assert again.rows["timing_contact", "acme", str(ANA)] is None


@pytest.mark.parametrize("sizes", [[1], [1000]])
def test_a_coach_who_comes_later_is_told(sizes: list[int]) -> None:
    """Given a participant without a coach, when the programme gets one, then the stages for the coach name them."""
    project, coach = UUID(int=8), UUID(int=9)
    enrolled = on("programme", project, programme.ParticipantEnrolled(seeker_id=SEEKER))
    assigned = on("programme", project, programme.CoachAssigned(coach_id=coach))

    def coaches(memory: Memory) -> set[UUID | None]:
        pending = [timer.recipient for timer in memory.pending.values()]
        return {recipient.id for recipient in pending if recipient.role == "coach"}

    assert coaches(folded([REGISTERED, enrolled, HELD], sizes)) == {None}
    assert coaches(folded([REGISTERED, enrolled, HELD, assigned], sizes)) == {coach}


def test_tenants_do_not_see_each_other() -> None:
    """Given the same ids in two tenants, when one seeker leaves, then the other's timers stay."""
    twins = [replace(each, tenant="other") for each in (REGISTERED, HELD)]
    left = on("seeker", SEEKER, seeker.Left())
    memory = folded([REGISTERED, HELD, *twins, left], [2])
    assert {tenant for tenant, _ in memory.pending} == {"other"}


def test_a_relationship_is_timed_by_events_of_interviews_too() -> None:
    connect = pending_of(folded([REGISTERED, HELD]), "connect").values()
    assert {timer.subject_id for timer in connect} == {relationship_id(SEEKER, ANA)}
    done = on("relationship", relationship_id(SEEKER, ANA), relationship.Connected(seeker_id=SEEKER, contact_id=ANA))
    after = folded([REGISTERED, HELD, done], [1])
    assert not pending_of(after, "connect")
    assert len(endings_of(after, "connect")) == 1
