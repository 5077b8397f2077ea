"""The generations that a rebuild, rollback or verification works with: those that are live, and its own."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import asyncpg

from services.projector.folding.read_model import StoredRows
from services.projector.folding.timing_rows import OF_TIMING, SUBJECT, rebuilt_as
from services.projector.models import MODELS
from services.projector.rebuild.report import Refused, Report, Situation, Told
from services.projector.rebuild.retiming import refuse_others
from services.projector.rebuild.staging import QUERIES
from services.projector.storing.leftovers import drop
from shared.timing.policies import Policies

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

_PAUSES = (0, 0.1, 0.2, 0.4, 0.8)
"""Seconds before each attempt to drop generations, so that who waited behind the one before gets through."""
_ALL = {*(model.name for model in MODELS), *OF_TIMING}


class Generations:
    """Of some models, as `report.mode` wants them."""

    def __init__(
        self, connection: Connection, models: Mapping[str, StoredRows[Any]], policies: Policies, report: Report
    ) -> None:
        self._connection, self._models, self._policies, self._report = connection, models, policies, report
        self.mine: dict[str, int] = {}
        """Model → the generation that is built, gone back to, or folded to compare."""
        self.live: dict[str, asyncpg.Record] = {}
        self.turn: int | None = None
        """The checkpoint's, when `prepare` began to look: it rises when rows are changed beside the fold."""

    async def hold(self) -> Situation:
        """Where everything stands, and stays until the transaction ends. Raises `Refused`."""
        await self._connection.execute(QUERIES["hold_checkpoint"])
        return await self.look()

    async def look(self) -> Situation:
        """Where everything stands. Raises `Refused`."""
        situation = await self._situation()
        if SUBJECT in self._models and not self._changes_version(SUBJECT):
            refuse_others(situation.policies, self._policies)
        return situation

    async def _situation(self) -> Situation:
        row = await self._connection.fetchrow(QUERIES["situation"])
        if row is None or row["position"] is None:
            raise Refused("nothing was folded yet: start the projector, which folds the log from its beginning")
        return Situation(*row)

    def _changes_version(self, name: str) -> bool:
        """Whether a model is not live in the version that this release folds. Timers of another version come of another
        release, which may reckon them by other policies, too, and this one's projector does not start before."""
        live = self.live.get(name)
        return live is not None and bool(live["version"] != self._models[name].version)

    async def prepare(self) -> None:
        """Look at what is live and at what an earlier attempt has left. Raises `Refused`."""
        self.turn = (await self._situation()).turn
        rows = await self._connection.fetch(QUERIES["generations"])
        self.live = {row["model"]: row for row in rows if row["status"] == "live"}
        situation = await self.look()
        mode, self._report.forked = self._report.mode, situation.forked
        useless: list[int] = []
        left: dict[str, asyncpg.Record] = {}
        for row in rows:
            mine = row["status"] == "building" and mode == "rebuild" and row["model"] in self._models
            usable = mine and (row["version"], row["epoch"]) == (
                self._models[row["model"]].version,
                situation.head_epoch,
            )
            if row["status"] == "scratch" or (mine and not (usable and row["position"] <= situation.target)):
                useless.append(row["id"])
            elif mine:
                left[row["model"]] = row
        if len({left[name]["position"] if name in left else 0 for name in OF_TIMING}) > 1:
            # Folded together or not at all: one of them is of another version, or new with this release.
            useless += (left.pop(name)["id"] for name in OF_TIMING if name in left)
        self.mine = {name: row["id"] for name, row in left.items()}
        await self.drop(useless)
        if situation.forked and (mode != "rebuild" or set(self._models) != _ALL):
            raise Refused("the log was restored to an earlier point, of which nothing live is: rebuild all read models")
        if situation.forked and (unknown := sorted(self.live.keys() - _ALL)):
            raise Refused(
                f"the log was restored to an earlier point, and live are rows of {', '.join(unknown)} from before, "
                "which this release does not know: rebuild with one that does, or take them out as the projector says"
            )
        for name, model in self._models.items():
            live = self.live.get(name)
            self._report.models[name] = Told(name, model.version, None if live is None else live["version"])
            if mode != "rollback" and live and live["version"] > model.version:
                raise Refused(
                    f"read model {name} is live in version {live['version']}, this release folds version "
                    f"{model.version}: use the newer release, or `kithlog rollback {rebuilt_as(name)} --why …`"
                )
            if mode == "verify" and (live is None or live["version"] != model.version):
                remedy = f"`kithlog rebuild {rebuilt_as(name)}`"
                raise Refused(f"read model {name} is not live in version {model.version}: {remedy}")
        if mode == "rollback":
            self._go_back_to(rows, situation)
        else:
            await self._create(situation)

    def _go_back_to(self, rows: Sequence[Any], situation: Situation) -> None:
        for name, model in self._models.items():
            kept = next((row for row in rows if row["model"] == name and row["status"] == "retired"), None)
            if kept is None:
                raise Refused(f"read model {name} has no earlier generation to go back to: only a rebuild keeps one")
            if kept["version"] != model.version:
                raise Refused(
                    f"the earlier generation of {name} is of version {kept['version']}, this release folds version "
                    f"{model.version}: roll back with the release that folds version {kept['version']}"
                )
            if kept["epoch"] != situation.epoch or kept["position"] > situation.target:
                raise Refused(f"the earlier generation of {name} is of another timeline of the log: rebuild it")
            if kept["stale"] is not None:
                raise Refused(f"the earlier generation of {name} lacks events, for {kept['stale']}: rebuild it")
            self.mine[name] = kept["id"]

    async def _create(self, situation: Situation) -> None:
        status = "building" if self._report.mode == "rebuild" else "scratch"
        for name, model in self._models.items():
            if name not in self.mine:
                made = await self._connection.fetchval(
                    QUERIES["create_generation"], name, model.version, status, model.listed
                )
                await self._connection.execute(QUERIES["begin_generations"], [made], situation.head_epoch)
                self.mine[name] = made

    async def drop(self, ids: Collection[int]) -> None:
        """What can't be dropped now is left to the next one at work."""
        await self._connection.execute(QUERIES["scrap"], list(ids))
        left = list(ids)
        for pause in _PAUSES:
            if not left:
                return
            await asyncio.sleep(pause)
            left = await drop(self._connection, left)

    async def discard(self) -> None:
        """Remove what was built, which is not live. What a killed rebuild leaves is gone on with, not removed."""
        if self._report.mode != "rollback" and not self._report.switched:
            await self.drop(self.mine.values())

    async def positions(self) -> dict[str, int]:
        """How far each of `mine` is folded."""
        rows = await self._connection.fetch(QUERIES["generations"])
        return {row["model"]: row["position"] for row in rows if row["id"] in self.mine.values()}

    async def drop_earlier(self) -> None:
        """Those that had been replaced before what was live until now."""
        kept = {row["id"] for row in self.live.values()}
        rows = await self._connection.fetch(QUERIES["generations"])
        retired = {row["id"] for row in rows if row["status"] == "retired" and row["model"] in self._models}
        await self.drop(retired - kept)
