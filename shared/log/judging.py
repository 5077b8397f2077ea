"""Which appends of a batch may be written: each judged on its own, in their order, as if they came one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from shared.log.appending import Append, KeyReused, Receipt, WrongVersion

Key = tuple[str, UUID]
"""A tenant with the id of a stream, or of a command."""


@dataclass(slots=True)
class Verdicts:
    """The outcome of judging: what to write, on which conditions, and what was refused or answered before."""

    accepted: list[int] = field(default_factory=list)
    """Indices of the appends to write, in order."""
    checks: dict[Key, int] = field(default_factory=dict)
    """The version that each stream must have before the batch for these verdicts to hold."""
    refused: dict[int, WrongVersion | KeyReused] = field(default_factory=dict)
    known: dict[int, Receipt] = field(default_factory=dict)
    """Indices of repeated commands, with their receipts."""
    twins: dict[int, int] = field(default_factory=dict)
    """Index of a repeat within the batch → index of the first."""


def judge(appends: Sequence[Append], versions: Mapping[Key, int], receipts: Mapping[Key, Receipt]) -> Verdicts:
    """Judge a batch on the stream versions and receipts known so far.

    A stream of unknown version is taken to be where the first append that touches it expects it; that assumption is
    returned in `checks` for the database to confirm. When it does not, judge again with what it said.
    """
    verdicts = Verdicts()
    present: dict[Key, int] = {}
    firsts: dict[Key, int] = {}
    for index, append in enumerate(appends):
        command = (append.tenant, append.command_id)
        if append.fingerprint is not None:
            if receipt := receipts.get(command):
                if receipt.fingerprint == append.fingerprint:
                    verdicts.known[index] = receipt
                else:
                    verdicts.refused[index] = KeyReused(append.command_id)
                continue
            if (first := firsts.get(command)) is not None:
                if appends[first].fingerprint == append.fingerprint:
                    verdicts.twins[index] = first
                else:
                    verdicts.refused[index] = KeyReused(append.command_id)
                continue
        if refusal := _versions_hold(append, versions, present, verdicts.checks):
            verdicts.refused[index] = refusal
            continue
        for event in append.events:
            present[append.tenant, event.stream.id] += 1
        verdicts.accepted.append(index)
        if append.fingerprint is not None:
            firsts[command] = index
    return verdicts


def _versions_hold(
    append: Append, versions: Mapping[Key, int], present: dict[Key, int], checks: dict[Key, int]
) -> WrongVersion | None:
    untouched: dict[Key, int] = {}
    for stream, expected in append.expected.items():
        key = (append.tenant, stream.id)
        actual = present[key] if key in present else versions.get(key, expected)
        if actual != expected:
            return WrongVersion(stream, expected, actual)
        if key not in present:
            untouched[key] = actual
    # Assumptions count only with the append that made them: one that is refused must not refuse others by them.
    present |= untouched
    checks |= untouched
    return None
