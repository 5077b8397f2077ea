"""The demo's story: whoever is quicker, its services or its teller, it comes out the same."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from deploy.demo import story as told
from deploy.demo.__main__ import AWAITED, a_zone_where_it_is_afternoon
from deploy.demo.story import THANK_YOU_IN, Step, Story
from services.projector.folding.folder import Folder
from services.projector.folding.timing_fold import TimingFold
from shared.domain.catalogue import COMMANDS
from shared.domain.kernel import Stream
from shared.envelope import Recorded
from shared.replacing import replace
from shared.timing.policies import default_policies
from tests.projector.histories import Happening, recorded
from tests.projector.memory import Memory
from tests.synthetic.world import World

RNG = random.Random(7)
MOMENTS = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=365 * RNG.random()) for _ in range(12)]


@pytest.mark.parametrize("now", MOMENTS, ids=str)
def test_nothing_falls_due_before_the_reminders_that_are_waited_for(now: datetime) -> None:
    """Given what is written up at once, and any number of today's steps, then the first to fall due are the thank-you
    and the word to keep in touch: anything before would be mailed or become needless, according to who is quicker."""
    story = Story(UUID(int=random.Random(str(now)).getrandbits(128), version=4), now, a_zone_where_it_is_afternoon(now))
    before, today = list(told.weeks_before(story)), list(told.today(story))

    for steps in range(len(today) + 1):
        memory = Memory(Folder((), TimingFold(default_policies())))
        events = happened([*before, *today[:steps]], now)
        pending = memory.fold(events, [len(events)]).pending.values()

        told_of = [timer for timer in pending if now < timer.expires_at]  # of the others nobody is told
        first = sorted(told_of, key=lambda timer: timer.due_at)[: len(AWAITED)]
        assert {(timer.policy, timer.stage) for timer in first} == AWAITED
        assert first[0].due_at >= now + timedelta(seconds=THANK_YOU_IN)


def happened(steps: Iterable[Step], now: datetime) -> list[Recorded[bytes]]:
    """The events of commands that are all sent at `now`."""
    world = World()
    happenings = []
    for step in steps:
        command = COMMANDS[step.command].model_validate_json(json.dumps(step.data))
        for on in world.execute(Stream(command.category, step.id), command, step.at, now):
            happenings.append(Happening(on.stream, on.event, step.at))
    return [replace(event, recorded_at=now) for event in recorded(happenings)]
