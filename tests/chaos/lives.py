"""What one client of the load asks for: a seeker who meets a contact, from registration to the thank-you.

The conversations are said to have ended nearly two hours ago, so that the reminder to say thank you falls due within
seconds. Some of what is asked must be refused.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

THANK_YOU_AFTER = timedelta(hours=2)
SOONEST, LATEST = 1.0, 6.0
"""Seconds from a conversation's being recorded until its reminder falls due."""
_ZONES = (
    "Pacific/Auckland", "Australia/Brisbane", "Asia/Tokyo", "Asia/Kolkata", "Asia/Dubai", "Europe/Lisbon",
    "America/Sao_Paulo", "America/Bogota", "America/Phoenix", "Pacific/Honolulu",
)  # fmt: skip


def waking_zone(now: datetime) -> str:
    """Reminders keep out of the night; where it is afternoon they fall due when they do."""

    def hours_from_afternoon(zone: str) -> float:
        local = now.astimezone(ZoneInfo(zone))
        return abs(local.hour + local.minute / 60 - 14.5)

    return min(_ZONES, key=hours_from_afternoon)


@dataclass(frozen=True, slots=True)
class Wish:
    """One command, and how it is to be sent."""

    category: str
    stream_id: UUID
    verb: str
    command_id: UUID
    body: dict[str, Any]
    at: datetime | None = None
    """When it is said to have happened; None: the service's clock says."""
    must_be_refused: bool = False
    again: bool = False
    """To be sent a second time once it was answered."""
    to_all: bool = False
    """To be sent to all services at the same time."""
    pause: float = 0.0
    """Seconds to wait before."""
    due_at: datetime | None = None
    """Once accepted: when the thank-you of this stream falls due."""

    @property
    def path(self) -> str:
        return f"{self.category}s/{self.stream_id}/{self.verb}"


@dataclass(frozen=True, slots=True)
class Life:
    """The wishes of one seeker. Sent whether each was accepted; an honest client goes on only if it was."""

    rng: Random
    now: datetime

    def wishes(self) -> Generator[Wish, None, None]:
        """In the order in which they have to be accepted; the caller ends it with the first that is refused."""
        rng, now = self.rng, self.now
        seeker, contact, interview = self._id(), self._id(), self._id()
        zone = waking_zone(now)
        register = {"name": "Nadia Ferrant", "time_zone": zone}
        plan = {"seeker_id": str(seeker), "contact_ids": [str(contact)], "purpose": "field", "about": "Marketing"}
        request = {"channel": "email", "minutes": 20, "intent": "I want to learn about your field."}
        yield self._wish("seeker", seeker, "register", register)
        yield self._wish("contact", contact, "add", {"name": "Ivo Brandt", "source": "alumni_network"})
        if rng.random() < 0.15:
            yield self._wish("seeker", seeker, "register", register, must_be_refused=True)
        yield self._wish("interview", interview, "plan", plan, now - timedelta(hours=9))
        yield self._wish("interview", interview, "send-request", request, now - timedelta(hours=8))
        if rng.random() < 0.15:
            yield self._wish("interview", interview, "hold", {"minutes": 20}, must_be_refused=True)
        yield self._wish("interview", interview, "accept", {}, now - timedelta(hours=7))
        due_at = now + timedelta(seconds=rng.uniform(SOONEST, LATEST))
        ended = due_at - THANK_YOU_AFTER
        yield self._wish("interview", interview, "hold", {"minutes": 20, "format": "email"}, ended, due_at=due_at)
        if rng.random() < 0.6:
            # From long before the reminder to about when it falls due, where either may be first.
            pause = rng.uniform(0, LATEST) if rng.random() < 0.7 else 0.0
            yield self._wish("interview", interview, "thank", {"how": "email"}, now, pause=pause)

    def _wish(
        self, category: str, id: UUID, verb: str, body: dict[str, Any], at: datetime | None = None, **how: Any
    ) -> Wish:
        chance = self.rng.random()
        how.setdefault("again", chance < 0.1)
        how.setdefault("to_all", 0.1 <= chance < 0.15)
        return Wish(category, id, verb, self._id(), body, at, **how)

    def _id(self) -> UUID:
        return UUID(int=self.rng.getrandbits(128), version=4)


def life(seed: str, now: datetime | None = None) -> Life:
    """The same wishes for the same seed, but for their times."""
    return Life(Random(seed), now or datetime.now(UTC))
