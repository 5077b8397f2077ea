"""What follows an introduction that was made: to write to whom one was introduced to."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import pytest

from shared.domain import interview, relationship
from tests.timing.story import CONTACT, Story


def introduced(story: Story, when: str = "2026-05-04T10:00+02:00") -> None:
    story.between(relationship.IntroductionMade, when, connector="Aunt Rosa")


@pytest.mark.parametrize(
    ("answer", "because"),
    [
        (lambda s: s.asks("2026-05-04T18:00+02:00"), "interview.request_sent"),
        (lambda s: s.happens(interview.Accepted, "2026-05-04T18:00+02:00"), "interview.accepted"),
        (
            lambda s: s.happens(interview.AgreedLoosely, "2026-05-04T18:00+02:00", what="Tea"),
            "interview.agreed_loosely",
        ),
        (lambda s: s.happens(interview.Declined, "2026-05-04T18:00+02:00"), "interview.declined"),
        (lambda s: s.between(relationship.Connected, "2026-05-04T18:00+02:00"), "relationship.connected"),
        (lambda s: s.touches("2026-05-04T18:00+02:00"), "relationship.touchpoint_recorded"),
        (lambda s: s.holds("2026-05-04T18:00+02:00"), "interview.held"),
        (lambda s: s.between(relationship.Ended, "2026-05-04T18:00+02:00"), "relationship.ended"),
    ],
)
def test_who_was_introduced_is_to_write_until_they_have(answer: Callable[[Story], object], because: str) -> None:
    """Given an introduction, then the seeker is told twice to write; once they are in touch, not at all."""
    story = Story(country="DE")
    introduced(story)
    answer(story)
    assert story.due("write_to_contact") == {}
    assert story.ended("write_to_contact") == dict.fromkeys(("due", "again"), ("withdrawn", because))
    silent = Story(country="DE")
    introduced(silent)
    assert silent.run_until("2026-12-31T10:00+01:00") == [("write_to_contact", "due"), ("write_to_contact", "again")]


def test_who_asked_in_vain_and_is_introduced_then_is_to_write() -> None:
    """Given a request that met with silence, when somebody introduces the seeker after it, then it is time to write;
    also where that request is written down only now."""
    story = Story(country="DE")
    story.asks("2026-04-01T10:00+02:00")
    introduced(story)
    assert story.due("write_to_contact")
    story = Story(country="DE")
    introduced(story)
    story.touches("2026-04-01T10:00+02:00", CONTACT, "2026-05-04T11:00+02:00")
    assert story.due("write_to_contact")


def test_who_was_met_needs_no_first_word() -> None:
    """Given a conversation, and a touch or a request before or after it, when only then it is said who introduced the
    two, then nobody is told to write; in whatever order the others are written down."""
    said: list[Callable[[Story], object]] = [
        lambda s: s.holds("2026-04-01T10:00+02:00", "2026-05-01T10:00+02:00"),
        lambda s: s.touches("2026-04-20T10:00+02:00", CONTACT, "2026-05-01T10:00+02:00"),
        lambda s: s.touches("2026-03-20T10:00+01:00", CONTACT, "2026-05-01T10:00+02:00"),
    ]
    for order in permutations(said):
        story = Story(country="DE")
        for each in order:
            each(story)
        introduced(story)
        assert story.due("write_to_contact") == {}
