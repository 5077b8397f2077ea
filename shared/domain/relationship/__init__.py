"""Relationship: what lies between a seeker and a contact. Its id is `identity.relationship_id(seeker, contact)`.

Its first event may be any of those that need nothing before them: who has met somebody can keep in touch with them.
"""

# ruff: noqa: F403 - the names by which others know the category

from shared.domain.relationship.commands import *
from shared.domain.relationship.decider import DECIDER as DECIDER
from shared.domain.relationship.decider import EVENT_OF as EVENT_OF
from shared.domain.relationship.decider import INTRODUCTION as INTRODUCTION
from shared.domain.relationship.decider import MACHINE as MACHINE
from shared.domain.relationship.decider import State as State
from shared.domain.relationship.decider import next_move as next_move
from shared.domain.relationship.events import *
