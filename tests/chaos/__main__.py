"""``python -m tests.chaos``: rounds of faults under load. ``--seeds 20 --rounds 10`` is the long version.

Exit code 1 when anything did not hold; the violations are printed, and the logs of such a run are kept.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import signal
import sys
import tempfile
from itertools import count
from pathlib import Path

import uvloop

from deploy.launcher.infrastructure import Infrastructure
from shared.database.migrate import migrate
from tests.chaos.cluster import Cluster, cluster
from tests.chaos.faults import (
    CUT_OFF_STAND_BY,
    FAULTS,
    FROZEN_QUORUM_LEADER,
    IN_LONG_SILENCE,
    PROMOTION,
    QUORUM_LEADER,
)
from tests.chaos.outcome import Outcome, summary
from tests.chaos.rounds import run

ON_A_CLUSTER = [
    [QUORUM_LEADER],
    [FROZEN_QUORUM_LEADER, "kill relay leader", QUORUM_LEADER],
    [QUORUM_LEADER, "kill projector", QUORUM_LEADER],
]
WITH_A_STAND_BY = [["cut connections"], [CUT_OFF_STAND_BY, PROMOTION], ["kill postgres", "kill relay leader"]]
"""The last of all: it takes the primary with it."""


class Told(list[Outcome]):
    """Rounds, each told as it ends."""

    def append(self, outcome: Outcome) -> None:
        super().append(outcome)
        print(outcome, flush=True)
        for violation in outcome.violations[:20]:
            print(f"    VIOLATION {violation}", flush=True)


def one_seed(
    infra: Infrastructure,
    seed: int,
    chosen: argparse.Namespace,
    told: Told,
    faults: list[list[str]] | None = None,
    nodes: Cluster | None = None,
) -> None:
    """All rounds of a seed, on a database and a virtual host of their own; the latter on `nodes`, if given."""
    name = f"chaos_{seed}"
    database_url = infra.postgres.create_database(name)
    amqp_url = nodes.url(0) if nodes else infra.rabbitmq.create_vhost(name)
    logs = Path(tempfile.mkdtemp(prefix=f"kithlog-chaos-{seed}-"))
    asyncio.run(migrate(database_url))
    stand_by = infra.postgres.stand_by(infra.run) if faults is WITH_A_STAND_BY else None
    try:
        outcomes = uvloop.run(
            run(infra, database_url, amqp_url, logs, seed, chosen.rounds, rate=chosen.rate, seconds=chosen.seconds,
                faults=faults, stand_by=stand_by, cluster=nodes, tell=told.append)
        )  # fmt: skip
    except KeyboardInterrupt:
        shutil.rmtree(logs)
        raise
    if stand_by is None:
        infra.postgres.drop_database(name)
    else:
        stand_by.stop()
    if nodes is None:
        infra.rabbitmq.delete_vhost(name)
    if any(outcome.violations for outcome in outcomes) or chosen.keep:
        print(f"    the logs of seed {seed} are in {logs}", flush=True)
    else:
        shutil.rmtree(logs)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds, one after the other")
    parser.add_argument("--rounds", type=int, default=10, help="rounds for each seed")
    parser.add_argument("--rate", type=float, default=320.0, help="commands a second, at most")
    parser.add_argument("--seconds", type=float, default=2.0, help="seconds of a round besides its faults")
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        choices=[*FAULTS, *IN_LONG_SILENCE],
        help="a round of it alone",
    )
    parser.add_argument(
        "--without-silence", action="store_true", help="leave out what is silent for longer than others wait for it"
    )
    parser.add_argument("--without-cluster", action="store_true", help="leave out the broker of three nodes")
    parser.add_argument("--without-promotion", action="store_true", help="leave out the stand-by that takes over")
    parser.add_argument("--keep", action="store_true", help="keep the logs in any case")
    chosen = parser.parse_args()
    # As Ctrl-C, also where that is ignored, as in the background: what runs is stopped, and its folder goes.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    told = Told()
    try:
        with Infrastructure.start(mode="local") as infra:
            print(infra.banner, flush=True)
            everything(infra, chosen, told)
    except KeyboardInterrupt:
        print("stopped; so far:")
        return 130
    finally:
        if told:
            print(summary(told))
    return 1 if any(outcome.violations for outcome in told) else 0


def everything(infra: Infrastructure, chosen: argparse.Namespace, told: Told) -> None:
    for seed in range(chosen.seed, chosen.seed + chosen.seeds):
        one_seed(infra, seed, chosen, told, [[each] for each in chosen.fault] or None)
    further = count(chosen.seed + chosen.seeds)
    if not chosen.without_silence:
        one_seed(infra, next(further), chosen, told, [[each] for each in IN_LONG_SILENCE])
    if not chosen.without_cluster:
        with cluster(infra.run, "chaos") as nodes:
            one_seed(infra, next(further), chosen, told, ON_A_CLUSTER, nodes)
    if not chosen.without_promotion:
        one_seed(infra, next(further), chosen, told, WITH_A_STAND_BY)


if __name__ == "__main__":
    sys.exit(main())
