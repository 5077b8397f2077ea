"""What the load asks for is what it means to ask: accepted where it should be, and all of it in turn."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from services.projector.folding.changes import Ending
from services.projector.folding.timing_rows import RECIPIENT
from services.projector.models import MODELS
from shared.codec import encode
from shared.domain.catalogue import COMMANDS, DECIDERS
from shared.domain.identity import event_id
from shared.domain.kernel import Context, Event, On, Refusal, Stream
from shared.domain.notification import Cause
from shared.envelope import Recorded
from shared.timing.policies import default_policies
from shared.timing.settling import Defer, Fire, settle
from shared.timing.timers import Timer
from tests.chaos.checker import as_said, dates, dense
from tests.chaos.cold_fold import ColdFold
from tests.chaos.explained import explained, occasions
from tests.chaos.held import Held
from tests.chaos.lives import AFTERNOON, NIGHT, TENANTS, Wish, life, zone_where_it_is
from tests.chaos.seen import Said, Seen
from tests.synthetic.world import seeing

NOON = datetime(2026, 11, 17, 12, tzinfo=UTC)
LIVES = 300


def wishes(now: datetime = NOON, lives: int = LIVES) -> list[list[Wish]]:
    """Of many lives, as clients send them to whom nothing is refused that should not be; rivals one after the other."""
    asked = (life(f"1/{number}", lambda: now).wishes() for number in range(lives))
    return [[each for wish in wishes for each in (wish, *wish.rivals)] for wishes in asked]


class Log:
    """Streams, moved along by what commands decide."""

    def __init__(self, now: datetime = NOON) -> None:
        self.now = now
        self._states: dict[Stream, Any] = {}
        self._versions: Counter[Stream] = Counter()
        self._executed: set[UUID] = set()
        self.events: list[Recorded[bytes]] = []

    def execute(self, wish: Wish) -> None:
        """Once, however often it is sent. Raises `Refusal`."""
        if wish.command_id in self._executed:
            return
        kind = COMMANDS[wish.message["command"]]
        command = kind.model_validate_json(json.dumps(wish.message["data"]))
        stream, at = Stream(kind.category, wish.stream_id), wish.at or self.now
        context = seeing(self._states, command, Context(wish.tenant, stream, at, self.now, "x"))
        decided = DECIDERS[kind.category].decide(command, self._states.get(stream), context)
        for number, on in enumerate(each if isinstance(each, On) else On(stream, each) for each in decided):
            self.append(wish.tenant, on.stream, on.event, at, wish.command_id, number)
        self._executed.add(wish.command_id)

    def append(
        self,
        tenant: str,
        stream: Stream,
        event: Event,
        at: datetime,
        command_id: UUID,
        number: int,
        cause: Recorded[bytes] | None = None,
    ) -> None:
        """`cause`: the event that it follows from, where it is no command."""
        correlation_id, causation_id = (cause.correlation_id, cause.event_id) if cause else (command_id, command_id)
        self._states[stream] = DECIDERS[stream.category].evolve(self._states.get(stream), event)
        self._versions[stream] += 1
        self.events.append(
            Recorded(
                len(self.events) + 1, 1, tenant, stream.category, stream.id, self._versions[stream],
                event_id(command_id, number), event.type, event.schema_version, at, self.now, "x",
                command_id, correlation_id, causation_id, encode(event),
            )
        )  # fmt: skip


def written() -> tuple[Log, list[Wish]]:
    """One log of many lives, and what was asked for in it; answers to notifications apart."""
    log = Log()
    asked = [wish for each in wishes() for wish in each if wish.category != "notification" and not wish.must_be_refused]
    for wish in asked:
        log.execute(wish)
    return log, asked


def test_what_is_to_be_refused_is_refused_and_nothing_else() -> None:
    """Given many lives, when their commands are judged in their order, then those are refused of which the life says
    so; answers to notifications apart, which depend on whether those have fired."""
    for each in wishes():
        log = Log()
        for wish in each:
            if wish.category == "notification":
                continue
            if wish.must_be_refused:
                with pytest.raises(Refusal):
                    log.execute(wish)
            else:
                log.execute(wish)


def test_every_way_to_silence_a_reminder_has_its_turn() -> None:
    """Given many lives, then reminders of seven kinds are armed, and made needless or put off in every way there is; a
    command id is used once, but for that by which a programme begins."""
    asked = [wish for each in wishes() for wish in each]
    ending = Counter(f"{wish.category}/{wish.verb}" for wish in asked if wish.ends)
    assert set(ending) == {
        "interview/thank", "interview/hold", "interview/prepare", "interview/cancel",
        "lead/act-on", "lead/drop", "lead/report-back",
        "notification/acknowledge", "notification/snooze",
        "relationship/pause", "relationship/end",
        "contact/forget", "contact/ask-not-to-be-contacted",
        "seeker/leave", "seeker/change-preferences", "seeker/relocate",
    }  # fmt: skip
    assert {wish.verb for wish in asked if wish.puts_off} == {"relocate"}
    assert {wish.verb for wish in asked if wish.arms} == {
        "hold", "schedule", "snooze", "record", "come-to-something",
    }  # fmt: skip
    once = [wish for wish in asked if wish.verb != "create"]
    assert len({wish.command_id for wish in once}) == len(once)
    assert {wish.tenant for wish in asked} == set(TENANTS)


def test_many_take_part_in_a_programme_that_all_ask_for_alike() -> None:
    """Given many lives, then in each tenant several ask for the same programme, by the same command, before they take
    part in it; those of another round ask for another."""
    asked = [each for each in wishes() if any(wish.category == "programme" for wish in each)]
    creates: dict[str, list[Wish]] = defaultdict(list)
    for each in asked:
        create, enrol = (wish for wish in each if wish.category == "programme")
        creates[create.tenant].append(create)
        assert (create.verb, enrol.verb, enrol.stream_id) == ("create", "enrol-participant", create.stream_id)
    assert creates.keys() == set(TENANTS)
    for alike in creates.values():
        assert len(alike) > 5
        assert len({(wish.stream_id, wish.command_id, json.dumps(wish.message)) for wish in alike}) == 1
    others = [wish for number in range(LIVES) for wish in life(f"2/{number}").wishes() if wish.verb == "create"]
    assert {wish.command_id for wish in others}.isdisjoint(each[0].command_id for each in creates.values())


@pytest.mark.parametrize("day", range(7))
def test_what_is_said_to_fall_due_does_on_any_day_of_the_week(day: int) -> None:
    """Given lives on any day, when their commands are folded, then each reminder that they are said to arm is pending,
    and due at the moment that is said, and what becomes of a lead ends its own; snoozes of notifications apart, which
    have to have fired."""
    now = NOON + timedelta(days=day)
    for each in wishes(now, 60):
        log, cold = Log(now), ColdFold()
        for wish in each:
            if wish.category == "notification" or wish.must_be_refused:
                continue
            log.execute(wish)
            cold.go_on(log.events)
            for id, due_at in wish.arms.items():
                pending = cold.timers[wish.tenant, id]
                assert isinstance(pending, Timer)
                assert pending.due_at == due_at, wish
            if wish.category == "lead":
                endings = [cold.timers[wish.tenant, id] for id in wish.ends]
                assert [each.event.because for each in endings if isinstance(each, Ending)] == [
                    log.events[-1].type for _ in wish.ends
                ]


def test_the_log_of_many_lives_is_as_the_checker_has_it() -> None:
    """Given many lives in one log, then that says what they said, dated as they said, and no rule of the checker about
    the log alone is broken by them, by a programme of many seekers, say."""
    log, asked = written()
    said = {(wish.tenant, wish.command_id): Said(wish.body, wish.at, wish.stream) for wish in asked}
    seen, held = Seen(said=said), Held(log.events, len(log.events))
    assert [*as_said(seen, held), *dates(seen, held), *dense(held)] == []


def test_no_read_model_stays_empty() -> None:
    """Given many lives, when all that they ask for is folded, and what falls due fires, then every read model has rows:
    to compare empty ones with a cold fold says nothing."""
    cold, policies, soon = ColdFold(), default_policies(), NOON + timedelta(minutes=1)
    log, _ = written()
    cold.go_on(log.events)
    for (tenant, id), timer in list(cold.timers.items()):
        if isinstance(timer, Timer) and timer.due_at <= soon:
            recipient = cold.rows[RECIPIENT, tenant, str(timer.seeker_id)]
            if isinstance(fired := settle(timer, soon, recipient, 0, policies), Fire):
                log.append(tenant, Stream("notification", id), fired.event, soon, id, 0)
    cold.go_on(log.events)
    rows = Counter(model for (model, _, _), row in cold.rows.items() if row is not None)
    assert [model.name for model in MODELS if not rows[model.name]] == []


class Reminded:
    """One life, in which reminders are fired as their moments come."""

    def __init__(self, seed: str) -> None:
        self.log, self.seen = Log(), Seen()
        self._cold, self._deferred = ColdFold(), dict[tuple[str, UUID], datetime]()
        for wish in life(seed, lambda: self.log.now).wishes():
            self.let_pass(timedelta(seconds=wish.pause))
            try:
                for each in (wish, *wish.rivals):
                    self.log.execute(each)
            except Refusal:
                if not wish.must_be_refused:
                    break
                continue
            for id in wish.ends:
                self.seen.ended_by.setdefault(id, {})[wish.tenant, wish.command_id] = f"{wish.category}/{wish.verb}"

    def let_pass(self, time: timedelta) -> None:
        until = self.log.now + time
        self._cold.go_on(self.log.events)
        while (due := min(self._due(until), default=None)) is not None:
            self.log.now = max(self.log.now, due[0])
            self._fire(*due[1:])
            self._cold.go_on(self.log.events)
        self.log.now = until

    def _due(self, until: datetime) -> Iterator[tuple[datetime, str, UUID]]:
        for (tenant, id), timer in self._cold.timers.items():
            due_at = self._deferred.get((tenant, id), timer.due_at)
            if due_at <= until:
                yield due_at, tenant, id

    def _fire(self, tenant: str, id: UUID) -> None:
        timer = self._cold.timers[tenant, id]
        event, cause = (timer.event, timer.event.cause) if isinstance(timer, Ending) else self._settled(id, timer)
        if event is None:
            return
        assert cause is not None
        follows = self.log.events[cause.position - 1]
        self.log.append(tenant, Stream("notification", id), event, self.log.now, id, 0, follows)

    def _settled(self, id: UUID, timer: Timer) -> tuple[Event | None, Cause]:
        recipient = self._cold.rows[RECIPIENT, timer.tenant, str(timer.seeker_id)]
        settled = settle(timer, self.log.now, recipient, 0, default_policies())
        if isinstance(settled, Defer):
            self._deferred[timer.tenant, id] = settled.until
            return None, timer.armed_by
        return settled.event, timer.armed_by


def test_whatever_becomes_of_reminders_is_explained() -> None:
    """Given many lives whose reminders are fired, put off and ended as they should be, then the checker finds nothing
    to say of why: neither soon, nor when days have passed. By then they have ended in every way that it knows."""
    ended: Counter[tuple[str | None, str | None]] = Counter()
    again = 0
    for number in range(LIVES):
        one = Reminded(f"1/{number}")
        for time in (timedelta(minutes=1), timedelta(days=5)):
            one.let_pass(time)
            held = Held(one.log.events, len(one.log.events))
            assert [*occasions(held), *explained(one.seen, held)] == []
        snoozes = {str(each.event_id) for each in held.events if each.type == "notification.snoozed"}
        again += sum(held.data[each.position].get("occurrence") in snoozes for each in held.events)
        ends = [held.data[end.position] for id in one.seen.ended_by for end in held.ends.get(id, ())]
        ended.update((says.get("reason"), says.get("because")) for says in ends)
    assert again > 0
    withdrawn = {
        "interview.thanked", "interview.held", "interview.prepared", "interview.cancelled", "lead.acted_on",
        "lead.dropped", "lead.reported_back", "relationship.paused", "relationship.ended", "seeker.left",
        "contact_closed", "acknowledged",
    }  # fmt: skip
    others = {("suppressed", "muted"), ("suppressed", "snoozed"), (None, None)}
    assert set(ended) == {*(("withdrawn", because) for because in withdrawn), *others}


def test_what_is_looked_for_has_a_document() -> None:
    """Given many lives, then what a document is to say is said of streams alone that have one."""
    looked_for = {wish.category for each in wishes() for wish in each if wish.look and wish.shows}
    assert looked_for == {"seeker", "contact", "interview"}


def test_what_is_ended_was_armed_before() -> None:
    """Given many lives, then no command is said to end a reminder that no command before it armed."""
    for each in wishes():
        armed: set[UUID] = set()
        for wish in each:
            assert armed.issuperset(wish.ends)
            armed |= wish.arms.keys()


def test_rivals_name_the_version_that_all_of_them_saw() -> None:
    """Given many lives, then in one of twenty or more somebody has rivals; what they change is in the version that most
    of them name, no two of them say the same, and some look whether it shows."""
    contested = [wish for number in range(LIVES) for wish in life(f"1/{number}").wishes() if wish.rivals]
    assert len(contested) > LIVES / 20
    rivals = [each for wish in contested for each in (wish, *wish.rivals)]
    assert {each.expected for each in rivals} == {1, None}
    assert sum(each.expected == 1 for each in rivals) > len(rivals) / 2
    assert len({each.body["employer"] for each in rivals}) == len(rivals)
    assert any(each.look and each.shows == each.body for each in rivals)


@pytest.mark.parametrize("hour", range(24))
def test_there_is_always_somewhere_awake_and_somewhere_asleep(hour: int) -> None:
    """Given any hour, then the zone where it is afternoon is far from any quiet hours for a while, and the zone where
    it is night well inside them."""
    now = NOON + timedelta(hours=hour)
    assert 11 < now.astimezone(ZoneInfo(zone_where_it_is(AFTERNOON, now))).hour < 18
    assert now.astimezone(ZoneInfo(zone_where_it_is(NIGHT, now))).hour < 6
