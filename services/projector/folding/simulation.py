"""What would have fired when, had other timing policies been in force: history folded with a clock that follows it.

Pure: events come in, firings come out, nothing is written. What was fired in truth is left out; what people answered to
a notification counts where that fires here, too.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from services.projector.folding.changes import OwnerId, RowId, TimerId
from services.projector.folding.rows import Rows
from services.projector.folding.timing_fold import TimingFold
from services.projector.folding.timing_rows import RECIPIENT
from shared.domain.identity import event_id
from shared.domain.kernel import Event
from shared.domain.notification import Due, Withdrawn
from shared.envelope import Recorded
from shared.timing.policies import Policies
from shared.timing.recipient import Recipient
from shared.timing.schedule import Clock
from shared.timing.settling import Defer, in_turn, settle, start_of_day
from shared.timing.timers import Timer


@dataclass(frozen=True, slots=True)
class Firing:
    """One notification that would have been sent."""

    id: UUID
    tenant: str
    policy: str
    stage: str
    recipient_id: UUID | None
    role: str
    seeker_id: UUID
    at: datetime
    local: datetime
    """On the recipient's clock."""
    in_quiet_hours: bool


class _Everything(Rows):
    """All rows there are: what is not there does not exist."""

    def __init__(self) -> None:
        super().__init__()
        self._all: dict[RowId, Any] = {}
        self._of: dict[OwnerId, dict[RowId, None]] = {}

    def __contains__(self, id: RowId) -> bool:
        return True

    def __getitem__(self, id: RowId) -> Any:
        return self._all.get(id)

    def owned(self, owner: OwnerId) -> list[RowId]:
        return sorted(self._of.get(owner, ()))

    def change(self, rows: Any, owners: Any) -> None:
        self._all.update(rows)
        for id, owner in owners.items():
            self._of.setdefault(owner, {})[id] = None


class Simulation:
    """One set of policies. Feed it all events in order by `fold`, and let time pass to the end by `pass_to`.

    The facts of all subjects that it was fed are kept in memory.
    """

    def __init__(self, policies: Policies) -> None:
        self._policies, self._timing, self._rows = policies, TimingFold(policies), _Everything()
        self._pending: dict[TimerId, tuple[Timer, datetime]] = {}
        """Each with when it is to be looked at."""
        self._queue: list[tuple[datetime, str, UUID]] = []
        self._told: dict[tuple[str, UUID, datetime], int] = {}
        self._fired: set[TimerId] = set()
        self._position = 0
        self._now: datetime | None = None

    def fold(self, e: Recorded[Event]) -> Iterator[Firing]:
        """What fires before the event is written down; then the event counts."""
        yield from self.pass_to(e.recorded_at)
        self._position, self._now = e.position, e.recorded_at
        if e.category != "notification" or (e.version > 1 and (e.tenant, e.stream_id) in self._fired):
            self._fold(e)

    def pass_to(self, end: datetime) -> Iterator[Firing]:
        """What falls due before `end`."""
        while self._queue and self._queue[0][0] < end:
            at, tenant, id = heapq.heappop(self._queue)
            pending = self._pending.get((tenant, id))
            if pending is not None and pending[1] == at:
                # What was armed after it was due is judged when it was armed.
                fired = self._settle(pending[0], at if self._now is None else max(at, self._now))
                if fired is not None:
                    yield fired

    def _fold(self, e: Recorded[Event]) -> None:
        staged: dict[RowId, Any] = {}
        ended, owners = self._timing.fold(e, self._timing.concern(e), self._rows, staged)
        before = {id: self._rows[id] for id in staged}
        self._rows.change(staged, owners)
        for timer_id, timer in self._timing.timers(before, self._rows).items():
            if timer is None:
                self._pending.pop(timer_id, None)
            else:
                self._wait(timer_id, timer, timer.due_at)
        for timer_id, ending in ended.items():
            if ending is not None:
                self._record(*timer_id, ending.event, e.recorded_at)

    def _wait(self, id: TimerId, timer: Timer, until: datetime) -> None:
        self._pending[id] = (timer, until)
        heapq.heappush(self._queue, (until, *id))

    def _settle(self, timer: Timer, now: datetime) -> Firing | None:
        id = (timer.tenant, timer.id)
        recipient: Recipient | None = self._rows[RECIPIENT, timer.tenant, str(timer.seeker_id)]
        day = (timer.tenant, timer.recipient.id or timer.seeker_id, start_of_day(timer.recipient.time_zone, now))
        settlement = settle(timer, now, recipient, self._told.get(day, 0), self._policies)
        if isinstance(settlement, Defer):
            self._wait(id, timer, in_turn(settlement.until, timer.due_at))
            return None
        self._record(timer.tenant, timer.id, settlement.event, now)
        if not isinstance(settlement.event, Due) or recipient is None:
            return None
        if timer.recipient.role == "seeker":
            self._told[day] = self._told.get(day, 0) + 1
        self._fired.add(id)
        clock = Clock(recipient, recipient.policies(self._policies))
        local = clock.moment(now).local
        quiet = not clock.hours.allows(local)
        return Firing(timer.id, timer.tenant, timer.policy, timer.stage, timer.recipient.id, timer.recipient.role,
                      timer.seeker_id, now, local, quiet)  # fmt: skip

    def _record(self, tenant: str, id: UUID, event: Due | Withdrawn, now: datetime) -> None:
        """What firing would have appended, folded as the projector would."""
        self._fold(
            Recorded(self._position, 1, tenant, "notification", id, 1, event_id(id, 0), event.type,
                     event.schema_version, now, now, f"policy:{event.rule.policy}", id, id, id, event)
        )  # fmt: skip
