"""What DOMAIN promises, looked for in a history that was made by going through the deciders."""

from __future__ import annotations

from collections import Counter, defaultdict
from functools import cache
from typing import Any

from shared import codec
from shared.domain import contact, interview
from shared.domain.catalogue import EVENTS
from shared.domain.kernel import Event, On, Stream
from tests.synthetic.histories import Wish, histories
from tests.synthetic.world import World

SEEKERS = 40


@cache
def history() -> list[tuple[Wish, list[On]]]:
    return list(histories(SEEKERS, seed=1))


def streams(category: str) -> dict[Stream, list[Event]]:
    found: dict[Stream, list[Event]] = defaultdict(list)
    for _, events in history():
        for on in events:
            if on.stream.category == category:
                found[on.stream].append(on.event)
    return found


def test_the_same_seed_tells_the_same_story() -> None:
    """Given a seed, when histories are made twice, then they are equal; another seed tells another story."""
    again = list(histories(SEEKERS, seed=1))
    assert again == history()
    assert list(histories(2, seed=2)) != list(histories(2, seed=3))


def test_it_has_the_size_of_real_ones() -> None:
    """Given a cohort, then there are 45 to 60 events a seeker, of 400 to 600 bytes on average."""
    events = [on.event for _, following in history() for on in following]
    assert 45 <= len(events) / SEEKERS <= 60
    assert 400 <= sum(len(codec.encode(event)) for event in events) / len(events) <= 600


def test_times_rise() -> None:
    """Given a programme's history, then its wishes are in the order in which they happened."""
    times = [wish.at for wish, _ in history()]
    assert times == sorted(times)


def test_it_folds_to_the_states_it_came_from() -> None:
    """Given the history as it is stored, when it is folded afresh, then every stream stands where it stood when the
    commands were judged, and what was refused in between had changed nothing."""
    judged, folded = World(history()[0][0].tenant), World()
    for wish, events in history():
        assert judged.execute(Stream(wish.category, wish.stream_id), wish.command, wish.at) == events
        folded.record(On(on.stream, as_stored(on.event)) for on in events)
    assert folded.states == judged.states
    assert sum(stream.category == "seeker" for stream in folded.states) == SEEKERS


def as_stored(event: Event) -> Event:
    return type(event).model_validate_json(codec.encode(event))


def test_most_of_what_can_happen_happens() -> None:
    """Given the history, then it shows the greater part of the event types of an interview."""
    seen = Counter(type(on.event) for _, events in history() for on in events)
    of_interviews = {each for name, each in EVENTS.items() if name.startswith("interview.")}
    assert len(of_interviews & set(seen)) >= 17


def before(events: list[Event], first: type[Event], *needed: type[Event]) -> bool:
    """Whether each `first` has one of `needed` before it."""
    return all(
        any(isinstance(earlier, needed) for earlier in events[:at])
        for at, event in enumerate(events)
        if isinstance(event, first)
    )


def test_rule_1_nothing_comes_too_early() -> None:
    """Given every interview, then it is scheduled after acceptance, held after scheduling, thanked after holding."""
    interviews = streams("interview")
    assert len(interviews) > SEEKERS
    for events in interviews.values():
        assert before(events, interview.Scheduled, interview.Accepted, interview.AgreedLoosely)
        assert before(events, interview.Held, interview.Scheduled)
        assert before(events, interview.Thanked, interview.Held)


def test_rule_4_no_contact_is_worn_out() -> None:
    """Given every contact, then no request comes when all that was asked this month fills the contact's places."""
    limited = 0
    for events in streams("contact").values():
        capacity, taken = None, Counter[str]()
        for event in events:
            if isinstance(event, contact.Added):
                capacity = event.capacity
            elif isinstance(event, contact.Asked):
                taken[event.month] += 1
            elif isinstance(event, contact.PlaceFreed):
                taken[event.month] -= 1
            if capacity is not None and isinstance(event, contact.Asked) and event.why == "request":
                limited += 1
                assert max(taken.values(), default=0) <= capacity
    assert limited


def test_a_kept_promise_shows_in_the_chain() -> None:
    """Given the history, then some talks came through a talk before, and say so."""
    held: list[Any] = [
        event for events in streams("interview").values() for event in events if isinstance(event, interview.Held)
    ]
    assert any(event.introduced_by for event in held)
    assert any(len(event.introduced_by) > 1 for event in held)
