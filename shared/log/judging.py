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


def judge(
    appends: Sequence[Append],
    versions: Mapping[Key, int],
    receipts: Mapping[Key, Receipt],
    groups: Sequence[int] | None = None,
) -> Verdicts:
    """Judge a batch on the stream versions and receipts known so far.

    A stream of unknown version is taken to be where the first append that touches it expects it; that assumption is
    returned in `checks` for the database to confirm. When it does not, judge again with what it said.

    `groups` says which appends were decided together, each on what those before it would have written (each on its
    own, unless told). Where one of them is not written, all behind it are refused, too. Some may rest on it, and the
    versions that they expect be reached all the same, by another writer's events; the others are not to overtake it: it
    is decided again, and may have to be before them.
    """
    verdicts = Verdicts()
    present: dict[Key, int] = {}
    firsts: dict[Key, int] = {}
    fallen: set[int] = set()
    for index, append in enumerate(appends):
        group = index if groups is None else groups[index]
        if not _settled_before(append, index, appends, receipts, firsts, verdicts):
            refusal = (
                _behind_fallen(append)
                if group in fallen
                else _versions_hold(append, versions, present, verdicts.checks)
            )
            if refusal is None:
                for event in append.events:
                    present[append.tenant, event.stream.id] += 1
                verdicts.accepted.append(index)
                if append.fingerprint is not None:
                    firsts[append.tenant, append.command_id] = index
                continue
            verdicts.refused[index] = refusal
        fallen.add(group)
    return verdicts


def _settled_before(
    append: Append,
    index: int,
    appends: Sequence[Append],
    receipts: Mapping[Key, Receipt],
    firsts: Mapping[Key, int],
    verdicts: Verdicts,
) -> bool:
    """Whether this command id was used before, in the log or in the batch; notes what follows from it."""
    if append.fingerprint is None:
        return False
    command = (append.tenant, append.command_id)
    if receipt := receipts.get(command):
        if receipt.fingerprint == append.fingerprint:
            verdicts.known[index] = receipt
        else:
            verdicts.refused[index] = KeyReused(append.command_id)
        return True
    if (first := firsts.get(command)) is not None:
        if appends[first].fingerprint == append.fingerprint:
            verdicts.twins[index] = first
        else:
            verdicts.refused[index] = KeyReused(append.command_id)
        return True
    return False


def _behind_fallen(append: Append) -> WrongVersion:
    stream, expected = next(iter(append.expected.items()))
    return WrongVersion(stream, expected, expected - 1)


def _versions_hold(
    append: Append, versions: Mapping[Key, int], present: dict[Key, int], checks: dict[Key, int]
) -> WrongVersion | None:
    untouched: dict[Key, int] = {}
    for stream, expected in append.expected.items():
        key = (append.tenant, stream.id)
        # An id is one stream's: a second one by it, of another category, is where the first was taken to be.
        actual = present[key] if key in present else untouched.get(key, versions.get(key, expected))
        if actual != expected:
            return WrongVersion(stream, expected, actual)
        if key not in present:
            untouched[key] = actual
    # Assumptions count only with the append that made them: one that is refused must not refuse others by them.
    present |= untouched
    checks |= untouched
    return None
