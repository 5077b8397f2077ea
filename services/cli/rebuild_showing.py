"""How rebuilding, rolling back and verifying show what they found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from services.cli.tables import show_table
from services.cli.terminal import away, misunderstood, note, progress, show_json, wrong
from services.projector.rebuild.building import CannotFold
from services.projector.rebuild.comparing import TIMERS, Difference
from services.projector.rebuild.report import Mode, Refused, Report, Told
from services.projector.rebuild.staging import Superseded
from services.projector.rebuild.work import NAMES
from services.projector.rebuild.worker import PartFailed
from shared.database.pool import PASSING, is_away
from shared.operations.policies import load_policies
from shared.timing.policies import Policies, PolicyError

Models = Annotated[
    list[str] | None,
    typer.Argument(metavar="MODEL", help=f"Read models; without any, all: {', '.join(NAMES)}.", show_default=False),
]
PolicyFile = Annotated[
    Path | None,
    typer.Option("--policies", envvar="KITHLOG_POLICIES", help="What tenants change of the timing policies, in TOML."),
]
Processes = Annotated[
    int | None,
    typer.Option(min=1, max=64, help="Processes that fold; else one for each processor.", show_default=False),
]
_LONGEST_CELL = 120


def chosen(models: Sequence[str] | None) -> list[str]:
    """Raises `Ended` (usage) for a name that there is not."""
    unknown = sorted(set(models or ()) - set(NAMES))
    if unknown:
        raise misunderstood(f"there is no read model {', '.join(unknown)}: one of {', '.join(NAMES)}")
    return list(models or NAMES)


def policies_of(file: Path | None) -> Policies:
    """Raises `Ended` (usage) for a file that can't be read or used."""
    try:
        return load_policies(file)
    except (OSError, UnicodeDecodeError, PolicyError) as error:
        raise misunderstood(f"policies can't be used: {error}") from None


@contextmanager
def ending_well(then: str) -> Iterator[None]:
    """What keeps a rebuild or a verification from being done, as one line and an exit code; `then`: what is to be known
    where PostgreSQL went away, for the last that was asked of it may have been done."""
    try:
        yield
    except (Refused, CannotFold, PartFailed) as error:
        raise wrong(str(error)) from None
    except Superseded as error:
        raise wrong(f"{error}: another rebuild has taken its place; begin again") from None
    except PASSING as error:
        if not is_away(error):
            raise
        raise away(error, then) from None


@contextmanager
def bars(*, json: bool) -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar for each step, with rate and time left; none with `--json`."""
    open_: dict[str, tuple[Any, Callable[[int], None]]] = {}

    def advance(step: str, done: int, total: int) -> None:
        if step not in open_:
            close()
            bar = progress(step, total, json=json)
            open_[step] = (bar, bar.__enter__())
        open_[step][1](done)

    def close() -> None:
        for bar, _ in open_.values():
            bar.__exit__(None, None, None)
        open_.clear()

    try:
        yield advance
    finally:
        close()


def as_json(report: Report) -> dict[str, Any]:
    whole = asdict(report)
    whole.pop("ids")
    whole["unexplained"] = report.unexplained
    return whole


def show(report: Report, *, json: bool) -> None:
    if json:
        show_json([as_json(report)])
        return
    show_table(
        ("read model", "version", "live", "rows", "differences", "explained"),
        [
            (
                told.model,
                told.version,
                told.live_version,
                None if told.model == TIMERS else f"{told.rows:,}",
                _differences(told, report.mode),
                ", ".join(f"{count} {why}" for why, count in told.explained.items()),
            )
            for told in report.models.values()
        ],
    )
    lines = [line for told in report.models.values() for one in told.first for line in _lines(one)]
    if lines:
        show_table(("read model", "tenant", "key", "field", "live", "afresh"), lines)
    for failure in report.failures:
        note(f"position {failure.position} can't be folded by {failure.why}")
    rate = f", {report.events / report.seconds:,.0f} events/s" if report.seconds and report.events else ""
    note(
        f"{report.events:,} events in {report.seconds:.1f} s{rate}; {report.whole_seconds:.1f} s in all, at position "
        f"{report.position}, at most {report.peak_bytes / 2**20:.0f} MB a process"
    )


def _differences(told: Told, mode: Mode) -> object:
    if told.differences or told.model == TIMERS or not (told.expected or mode == "rollback"):
        return f"{told.differences} (expected)" if told.expected and told.differences else told.differences
    return "not compared"


def _lines(one: Difference) -> Iterator[tuple[object, ...]]:
    for name, (live, afresh) in one.fields.items():
        yield one.model, one.tenant, one.key, name, _cell(live), _cell(afresh)


def _cell(value: Any) -> str:
    text = "–" if value is None else str(value)
    return text if len(text) <= _LONGEST_CELL else text[: _LONGEST_CELL - 1] + "…"
