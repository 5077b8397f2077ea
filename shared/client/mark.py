"""How far a consumer has come. Pure.

Everything that it wants, up to `proven`, has had its end; beyond it so has what is in `done`. A consumer of all events
proves by `previous` that nothing lies between two messages, so its `done` stays empty. One that is bound to a part of
them can't tell by `previous` what was lost from what it did not ask for: its `done` grows until the history feed has
been asked what there was (`proved`).

What failed and is to come again is in `begun`, with its attempts: it may lie before `proven`, and is no duplicate. What
of it the broker has lost is in `lost` until it has been read from the history: a process that ends meanwhile leaves it
to the next one. What was given up is in `parked`, so that it is known when the broker has lost that, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

MOST_PARKED = 1000
"""Positions that a mark keeps of what was parked, the highest ones: all of a mark is saved with every event."""
LONGEST_REASON = 50
"""Characters of a reason that it keeps."""


@dataclass(frozen=True, slots=True)
class Mark:
    epoch: int = 0
    """Greatest timeline of the log that was seen; 0: none yet."""
    proven: int = 0
    done: frozenset[int] = frozenset()
    begun: Mapping[int, int] = field(default_factory=dict)
    """Position → attempts so far."""
    lost: frozenset[int] = frozenset()
    """Of those in `aside`."""
    parked: Mapping[int, str] = field(default_factory=dict)
    """Position → reason of what was parked, and not handled since."""
    saves: int = 0
    """Times that it was saved: whoever saves it must have seen the one before."""

    @property
    def top(self) -> int:
        """The last position that is known to this consumer."""
        return max(self.done, default=self.proven)

    @property
    def aside(self) -> frozenset[int]:
        """What was put aside: of `begun`, that which the history would not be asked for."""
        return frozenset(p for p in self.begun if p <= self.proven or p in self.done)

    def has(self, position: int) -> bool:
        """Whether the event there needs nothing more: a message of it is a duplicate."""
        return position not in self.begun and (position <= self.proven or position in self.done)

    def after(self, position: int, previous: int) -> Mark:
        """The event there has had its end."""
        mark = self._without(position)
        if position <= self.proven:
            return mark
        if previous <= self.proven:
            return replace(mark, proven=position, done=frozenset(p for p in self.done if p > position))
        return replace(mark, done=self.done | {position})

    def attempted(self, position: int, attempts: int) -> Mark:
        """The event there is being dealt with, for the nth time; 0: it has not been, after all."""
        if not attempts:
            return self._without(position)
        return replace(self, begun={**self.begun, position: attempts})

    def put_aside(self, position: int, previous: int, attempts: int) -> Mark:
        """The event there is to come again; what follows need not wait for it."""
        return self.after(position, previous).attempted(position, attempts)

    def parking(self, position: int, reason: str) -> Mark:
        """The event there is given up."""
        parked = {**self.parked, position: reason[:LONGEST_REASON]}
        return replace(self, parked={p: parked[p] for p in sorted(parked)[-MOST_PARKED:]})

    def gave_up(self, position: int) -> bool:
        """Whether the event there was parked, and not handled since. Of those below the ones that are kept it is
        taken to be so, for what comes of them then comes from where it was parked: rather twice than never.
        """
        return position in self.parked or (len(self.parked) >= MOST_PARKED and position < min(self.parked))

    def replayed(self, position: int) -> Mark:
        """The event there was handled although it had had its end before."""
        return replace(self, parked={p: reason for p, reason in self.parked.items() if p != position})

    def bereft(self) -> Mark:
        """The broker has lost what was put aside."""
        return replace(self, lost=self.aside)

    def proved(self, position: int, epoch: int) -> Mark:
        """The history showed all that was wanted up to there, and all of it has had its end."""
        if position < self.proven:
            return self
        done = frozenset(p for p in self.done if p > position)
        return replace(self, proven=position, done=done, epoch=max(epoch, self.epoch))

    def back_to(self, position: int, epoch: int) -> Mark:
        """The log was restored to a position, and goes on in another epoch: what came after that did not happen; what
        came before has had its end, or lacks it, as ever."""
        return replace(
            self,
            epoch=epoch,
            proven=min(self.proven, position),
            done=frozenset(p for p in self.done if p <= position),
            begun={p: attempts for p, attempts in self.begun.items() if p <= position},
            lost=frozenset(p for p in self.lost if p <= position),
            parked={p: reason for p, reason in self.parked.items() if p <= position},
        )

    def in_epoch(self, epoch: int) -> Mark:
        return replace(self, epoch=epoch)

    def saved(self) -> Mark:
        return replace(self, saves=self.saves + 1)

    def to_json(self) -> dict[str, Any]:
        return {
            "epoch": self.epoch,
            "proven": self.proven,
            "done": sorted(self.done),
            "begun": {str(position): attempts for position, attempts in self.begun.items()},
            "lost": sorted(self.lost),
            "parked": {str(position): reason for position, reason in self.parked.items()},
            "saves": self.saves,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Mark:
        return cls(
            epoch=document["epoch"],
            proven=document["proven"],
            done=frozenset(document["done"]),
            begun={int(position): attempts for position, attempts in document["begun"].items()},
            lost=frozenset(document.get("lost", ())),
            parked={int(position): reason for position, reason in document.get("parked", {}).items()},
            saves=document["saves"],
        )

    def _without(self, position: int) -> Mark:
        if position not in self.begun:
            return self
        begun = {p: attempts for p, attempts in self.begun.items() if p != position}
        return replace(self, begun=begun, lost=self.lost - {position})
