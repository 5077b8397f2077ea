"""Interview: one informational conversation, from the first thought of it to the thanks."""

# ruff: noqa: F403 - the names by which others know the category

from shared.domain.interview.commands import *
from shared.domain.interview.decider import DECIDER as DECIDER
from shared.domain.interview.events import *
from shared.domain.interview.machine import EVENT_OF as EVENT_OF
from shared.domain.interview.machine import MACHINE as MACHINE
from shared.domain.interview.machine import State as State
from shared.domain.interview.machine import next_move as next_move
from shared.domain.interview.machine import without as without
