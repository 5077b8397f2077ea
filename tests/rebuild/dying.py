"""A rebuild in a process of its own that tells each step, to be killed at one of them: `dying.py <database url>`."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from services.projector.rebuild import building, work
from services.projector.rebuild.rebuild import rebuild
from services.projector.rebuild.work import NAMES, Work
from shared.timing.policies import default_policies


def tell(*step: object) -> None:
    sys.stdout.write(" ".join(map(str, step)) + "\n")
    sys.stdout.flush()


async def main(database_url: str) -> None:
    # Small pages, so that a short log has many steps; a process for each half, as a long log has.
    building.PAGE, building.FLUSH = 15, 45
    work.NEAR, work.ALONE = 5, 10
    switch = Work.switch

    async def told(self: Work, *arguments: Any) -> None:
        tell("switching")
        await switch(self, *arguments)
        tell("switched")

    Work.switch = told  # type: ignore[method-assign, assignment]
    await rebuild(database_url, default_policies(), NAMES, processes=2, progress=tell)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
