"""``python -m tests.bench [part …]``: measure, show a table, write `tests/bench/results/<part>.json`.

`--rounds 5` interleaved rounds, `--scale 1.0` of the full size; without parts all of them run. What is measured with
less is written to `results/partial/`.
"""

from __future__ import annotations

import argparse
import importlib
import signal
import sys
import traceback

import uvloop

from deploy.launcher.infrastructure import Infrastructure
from shared.operations.garbage import spare_collections
from tests.bench import report
from tests.bench.machine import machine
from tests.bench.rounds import Result
from tests.bench.servers import Bench

PARTS = ("append", "http", "relay", "projector", "live", "timers", "peers", "rebuild", "history", "growth")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help=f"of: {', '.join(PARTS)}")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--quick", action="store_true", help="--rounds 2 --scale 0.05, to see that everything runs")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: what runs is stopped, its folder goes
    if chosen.quick:
        chosen.rounds, chosen.scale = 2, 0.05
    if chosen.scale < 1 or chosen.rounds < 5:
        report.RESULTS = report.RESULTS / "partial"  # never to be taken for the whole measurement
    spare_collections()  # as the services do: some parts run them in this process
    everything: list[Result] = []
    failed: list[str] = []
    with Infrastructure.start(mode="local") as infrastructure:
        print(infrastructure.banner)
        bench = Bench(infrastructure, chosen.rounds, chosen.scale)
        for part in chosen.parts or PARTS:
            try:
                results = uvloop.run(importlib.import_module(f"tests.bench.{part}").run(bench))
            except Exception:  # one part that can't be measured must not take the others along
                traceback.print_exc()
                failed.append(part)
                continue
            report.write(part, results, machine(infrastructure.banner))
            report.show(results)
            everything += results
    missed = [result.name for result in everything if not result.met]
    print(f"{len(everything) - len(missed)} of {len(everything)} goals met")
    if failed:
        print(f"could not be measured: {', '.join(failed)}; the errors are above", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
