"""A sound history, as the checker is given it, for one thing to be planted in it that is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from shared.domain.identity import notification_id
from shared.envelope import Recorded
from tests.chaos.checker import check
from tests.chaos.held import Held, Receipt
from tests.chaos.seen import Answer, Command, Look, Outdated, Said, Seen, SeenEvent
from tests.chaos.witness import Delivery, digest_of

NOON = datetime(2026, 11, 17, 12, tzinfo=UTC)
TENANT, OTHER_TENANT = "acme", "birch"
REMINDED, THANKED = UUID(int=0x1), UUID(int=0x2)
"""Two conversations: one whose reminder fired, one that was thanked for in time."""
X, Y = str(UUID(int=0xA)), str(UUID(int=0xB))
"""Whose they are."""
HELD, HELD_TOO, THANKS = (UUID(int=0xE000 + position) for position in (3, 4, 5))
"""Events: that the one was held, the other was, too, and was thanked for."""
FIRED = notification_id("thank_you", REMINDED, HELD, "due")
LATER = notification_id("thank_you", REMINDED, HELD, "overdue")
"""Reminders of the first: one that fired, and one that has not ended yet."""
WITHDRAWN = notification_id("thank_you", THANKED, HELD_TOO, "due")
WITH_IT = notification_id("thank_you", THANKED, HELD_TOO, "overdue")
"""Of the second: one that was needless, and a later one that ended with it."""
OCCASIONS = {
    FIRED: (REMINDED, HELD, "due"),
    LATER: (REMINDED, HELD, "overdue"),
    WITHDRAWN: (THANKED, HELD_TOO, "due"),
    WITH_IT: (THANKED, HELD_TOO, "overdue"),
}
"""Subject, occurrence and stage."""
REFUSED = UUID(int=0xBAD)


def event(
    position: int, stream_id: UUID, version: int, type: str, data: bytes = b"{}", **more: object
) -> Recorded[bytes]:
    category = type.partition(".")[0]
    at = NOON + timedelta(seconds=position)
    command = UUID(int=0xC000 + position)
    recorded: Recorded[bytes] = Recorded(
        position, 1, "acme", category, stream_id, version, UUID(int=0xE000 + position), type, 1, at, at, "seeker:x",
        command, command, command, data,
    )  # fmt: skip
    return replace(recorded, **more)  # type: ignore[arg-type]


def notification(
    position: int, id: UUID, outcome: str, others: tuple[UUID, ...] = (), **otherwise: object
) -> Recorded[bytes]:
    """How a reminder ends: as the first event of its stream, written by its policy; withdrawn, for the thanks."""
    subject, occurrence, stage = OCCASIONS[id]
    withdrawn = {"reason": "withdrawn", "because": "interview.thanked", "cause": named(THANKS, "interview.thanked")}
    says: dict[str, Any] = {
        "dedupe_key": str(id),
        "due_at": (NOON + timedelta(seconds=5)).isoformat(),
        "rule": {"policy": "thank_you", "version": "1"},
        "subject_id": str(subject),
        "occurrence": str(occurrence),
        "stage": stage,
        "others": [{"id": str(other), "stage": OCCASIONS[other][2]} for other in others],
        **(withdrawn if outcome == "withdrawn" else {"armed_by": named(occurrence)}),
        **otherwise,
    }
    cause = UUID((says.get("cause") or named(occurrence))["event_id"])
    follows = {"causation_id": cause, "correlation_id": command_of(cause)}
    return event(
        position, id, 1, f"notification.{outcome}", of(says), command_id=id, actor="policy:thank_you", **follows
    )


def named(event_id: UUID, type: str = "interview.held") -> dict[str, Any]:
    """As notifications name an event of this history."""
    return {"event_id": str(event_id), "type": type, "position": event_id.int - 0xE000}


def command_of(event_id: UUID) -> UUID:
    return UUID(int=event_id.int - 0xE000 + 0xC000)


def snoozed(position: int, of_round: UUID = HELD) -> Recorded[bytes]:
    """What had fired of the first conversation's round is put off by its recipient."""
    says = {
        "kind": "thank_you",
        "stage": "due",
        "rule": {"policy": "thank_you", "version": "1"},
        "subject": "interview",
        "subject_id": str(REMINDED),
        "occurrence": str(of_round),
        "recipient": {"id": X, "role": "seeker", "time_zone": "Europe/Berlin"},
        "seeker_id": X,
        "cancellation_key": f"thank_you:{REMINDED}:{HELD}",
        "until": (NOON + timedelta(seconds=5)).isoformat(),
    }
    stream_id = notification_id("thank_you", REMINDED, of_round, "due")
    return event(position, stream_id, 2, "notification.snoozed", of(says))


def again(position: int, snooze: Recorded[bytes], stage: str = "due", **otherwise: object) -> Recorded[bytes]:
    """What was put off is due again, armed by what had armed it first."""
    id = notification_id("thank_you", REMINDED, snooze.event_id, stage)
    says: dict[str, Any] = {"dedupe_key": str(id), "occurrence": str(snooze.event_id), "stage": stage, **otherwise}
    return replace(notification(position, FIRED, "due", **says), stream_id=id, command_id=id)


def of(says: Mapping[str, object]) -> bytes:
    return json.dumps(says).encode()


def held(seeker_id: str) -> bytes:
    return of({"seeker_id": seeker_id, "contact_ids": [str(UUID(int=0xD))], "format": "email"})


def delivery(event: Recorded[bytes]) -> Delivery:
    """By the broker, as it should be."""
    told = (f"kithlog.{event.type}.v1", event.tenant, str(event.stream_id), event.version)
    digest = digest_of(*told, event.occurred_at.isoformat(), json.loads(event.data))
    return Delivery("broker", 1, event.position, event.event_id, digest)


@dataclass
class World:
    """A sound history, and what was seen of it. Plant something, then judge."""

    events: list[Recorded[bytes]] = field(
        default_factory=lambda: [
            event(1, REMINDED, 1, "interview.planned", of({"seeker_id": X, "about": "Radio"})),
            event(2, THANKED, 1, "interview.planned", of({"seeker_id": Y, "about": "Ships"})),
            event(3, REMINDED, 2, "interview.held", held(X)),
            event(4, THANKED, 2, "interview.held", held(Y)),
            event(5, THANKED, 3, "interview.thanked", of({"seeker_id": Y, "at": "2026-11-17T12:00:00Z"})),
            notification(6, WITHDRAWN, "withdrawn", others=(WITH_IT,)),
            notification(7, FIRED, "due"),
        ]
    )
    seen: Seen = field(default_factory=Seen)
    deliveries: list[Delivery] = field(default_factory=list)
    receipts: dict[Command, Receipt] = field(default_factory=dict)
    head: int | None = None
    """None: the last event's position, as it must be."""
    overdue: list[UUID] = field(default_factory=list)
    dead_letters: int = 0
    wiped_at: datetime | None = None
    earlier: list[Recorded[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for each in self.events:
            self.deliveries.append(delivery(each))
            if each.category == "interview":
                stream = f"interview/{each.stream_id}"
                known = SeenEvent(each.position, each.event_id, each.type, stream, each.version)
                self.seen.accepted[TENANT, each.command_id] = Answer(each.position, (known,))
                self.receipts[TENANT, each.command_id] = Receipt(each.position, 1)
                shows = {"status": each.type.removeprefix("interview.")}
                self.seen.said[TENANT, each.command_id] = Said({}, each.occurred_at, stream, each.version - 1, shows)
        self.say(self.first, body={"about": "Radio", "seeker_id": X}, at=None)
        self.say(self.thanks, body={"at": "2026-11-17T13:00:00+01:00"})
        at = self.events[4].recorded_at
        self.seen.outdated.append(Outdated(self.thanks, f"interview/{THANKED}", 1, at))
        self.seen.outdated.append(Outdated((TENANT, REFUSED), f"interview/{THANKED}", 2, at))
        self.seen.looks = [
            Look(self.held, 4, 200, 4, {"status": "held"}),
            Look(self.held, 4, 200, 6, {"status": "thanked"}),
            # What was read after its position was.
            Look(self.held, 4, 200, 4, {"status": "thanked"}),
        ]
        self.seen.refused[TENANT, REFUSED] = "already_exists"
        self.seen.due = dict.fromkeys((FIRED, WITHDRAWN, WITH_IT), NOON + timedelta(seconds=5))
        self.seen.needless = dict.fromkeys((WITHDRAWN, WITH_IT), 5)
        self.seen.ended_by = {id: {self.thanks: "interview/thank"} for id in (WITHDRAWN, WITH_IT)}

    @property
    def first(self) -> Command:
        return TENANT, self.events[0].command_id

    @property
    def thanks(self) -> Command:
        return TENANT, self.events[4].command_id

    @property
    def held(self) -> Command:
        """In the conversation that was thanked for."""
        return TENANT, self.events[3].command_id

    def say(self, command: Command, **otherwise: Any) -> None:
        self.seen.said[command] = replace(self.seen.said[command], **otherwise)

    def find(self, **otherwise: Any) -> None:
        """Of all that clients have looked for, the first."""
        self.seen.looks[0] = replace(self.seen.looks[0], **otherwise)

    def append(self, further: Recorded[bytes]) -> None:
        """Written and delivered as it should be, with its own receipt; nothing but the event itself is wrong."""
        self.events.append(further)
        self.deliveries.append(delivery(further))
        if further.command_id != further.stream_id:
            self.receipts[further.tenant, further.command_id] = Receipt(further.position, 1)

    def put(self, place: int, event: Recorded[bytes]) -> None:
        """In the place of another, likewise."""
        self.events[place], self.deliveries[place] = event, delivery(event)

    def end(self, **otherwise: object) -> None:
        """What was needless, and with it what ended then; otherwise than it should."""
        self.put(5, notification(6, WITHDRAWN, "withdrawn", (WITH_IT,), **otherwise))

    def renumber(self) -> None:
        """Close the gaps that taking something out has left, so that nothing but that is wrong."""
        self.events = [replace(each, position=place) for place, each in enumerate(self.events, start=1)]
        self.deliveries = [delivery(each) for each in self.events]
        self.receipts = {
            (TENANT, each.command_id): Receipt(each.position, 1) for each in self.events if each.category == "interview"
        }

    def judge(self) -> list[str]:
        head = len(self.events) if self.head is None else self.head
        held = Held(self.events, head, self.receipts, self.overdue, self.dead_letters, self.wiped_at, self.earlier)
        return check(self.seen, held, self.deliveries)


Plant = Callable[[World], None]
PLANTED: list[tuple[Plant, str]] = []
"""What can be planted, and the kinds of violation that it is to be found as."""


def planted(found: str) -> Callable[[Plant], Plant]:
    """A decorator: what this plants is to be found as that, and as nothing else."""

    def add(plant: Plant) -> Plant:
        PLANTED.append((plant, found))
        return plant

    return add
