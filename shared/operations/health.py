"""Is it alive, is it ready: answers that can't be wrong because a loop marks its own progress.

Alive means that the event loop answers. Ready is what the checks say, each looking from outside at what it checks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import asdict, dataclass
from time import monotonic
from typing import Any, Literal

State = Literal["ok", "degraded", "failing"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found: `degraded` is worth a look, `failing` makes the service unready."""

    state: State
    detail: str = ""


OK = Finding("ok")
Probe = Callable[[], Coroutine[Any, Any, Finding]]


@dataclass(frozen=True, slots=True)
class Check:
    """A named probe. One that raises or takes too long has found `otherwise`."""

    name: str
    probe: Probe
    otherwise: State = "failing"


@dataclass(frozen=True, slots=True)
class Readiness:
    ready: bool
    findings: dict[str, Finding]

    def to_dict(self) -> dict[str, Any]:
        states = {finding.state for finding in self.findings.values()}
        status = "unready" if not self.ready else "degraded" if "degraded" in states else "ready"
        return {"status": status, "checks": {name: asdict(finding) for name, finding in self.findings.items()}}


class Health:
    """The checks of one service; they may be added while it composes itself."""

    def __init__(self, checks: Sequence[Check] = (), *, patience: float = 2.0) -> None:
        self._checks = {check.name: check for check in checks}
        self._patience = patience
        self._given_up: set[asyncio.Task[Finding]] = set()

    def add(self, check: Check) -> None:
        """Add a check, or put it in the place of the one of that name."""
        self._checks[check.name] = check

    async def look(self) -> Readiness:
        """Run all checks at once."""
        checks = list(self._checks.values())
        findings = await asyncio.gather(*(self._find(check) for check in checks))
        return Readiness(
            all(finding.state != "failing" for finding in findings),
            {check.name: finding for check, finding in zip(checks, findings, strict=True)},
        )

    async def _find(self, check: Check) -> Finding:
        probing = asyncio.create_task(check.probe())
        try:
            done, _ = await asyncio.wait({probing}, timeout=self._patience)
            if done:
                return probing.result()
        except Exception as error:
            return Finding(check.otherwise, f"{type(error).__name__}: {error}")
        finally:
            self._give_up(probing)
        return Finding(check.otherwise, f"no answer within {self._patience:g} s")

    def _give_up(self, probing: asyncio.Task[Finding]) -> None:
        """Not waiting for its end: what hangs may take its time to be cancelled, too."""
        if not probing.done():
            self._given_up.add(probing)
            probing.add_done_callback(self._forget)
            probing.cancel()

    def _forget(self, probing: asyncio.Task[Finding]) -> None:
        self._given_up.discard(probing)
        if not probing.cancelled():
            probing.exception()


class Presence:
    """Has a loop its place at the broker? It says so itself: only who logs in knows whether the broker lets it.

    Degraded while it has none: what it does there is done later then, and nothing is missed.
    """

    def __init__(self, name: str) -> None:
        self._absent: str | None = "not connected yet"
        self.check = Check(name, self._probe, otherwise="degraded")

    def here(self) -> None:
        self._absent = None

    def away(self, why: Exception | str) -> None:
        self._absent = why if isinstance(why, str) else repr(why)

    async def _probe(self) -> Finding:
        return OK if self._absent is None else Finding("degraded", self._absent)


class Movement:
    """Is a loop that follows the log moving?

    `read` answers (head of the log, the loop's place) as the database holds them: a mark kept by the loop itself
    would freeze with it, and a frozen mark shows no lag. Being behind is no fault, standing still while behind is.
    """

    def __init__(
        self,
        read: Callable[[], Awaitable[tuple[int, int]]],
        *,
        stalled_after: float,
        stalled: State = "failing",
        observe: Callable[[int, int], None] = lambda head, place: None,
        time: Callable[[], float] = monotonic,
    ) -> None:
        """`stalled_after` in seconds; `stalled`: what it is then; `observe(head, place)` hears of each look."""
        self._read, self._stalled_after, self._observe, self._time = read, stalled_after, observe, time
        self._stalled: State = stalled
        self._place = -1
        self._still_since: float | None = None

    async def probe(self) -> Finding:
        head, place = await self._read()
        self._observe(head, place)
        return self.judge(head, place)

    def judge(self, head: int, place: int) -> Finding:
        """Judge one look by those before it."""
        now = self._time()
        if place > head:
            return Finding("failing", f"at {place}, beyond the log's head {head}: was the database restored?")
        if place == head or place != self._place or self._still_since is None:
            self._place = place
            self._still_since = None if place == head else now
            return Finding("ok", f"at {place} of {head}")
        still = now - self._still_since
        if still >= self._stalled_after:
            return Finding(self._stalled, f"at {place} of {head}, and has not moved for {still:.0f} s")
        return Finding("ok", f"at {place} of {head}")

    async def watch(self, stop: asyncio.Event, *, every: float = 1.0) -> None:
        """Look until `stop`, so that how long it has stood still does not depend on how often somebody asks.

        A look that fails is skipped: that the database is away is another check's finding.
        """
        while not stop.is_set():
            try:
                await self.probe()
            except Exception:
                self._still_since = None
            try:
                await asyncio.wait_for(stop.wait(), timeout=every)
            except TimeoutError:
                continue
