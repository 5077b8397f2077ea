"""The service processes of a run: one process each, in order, watched."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import httpx

from deploy.launcher.child import Child
from deploy.launcher.ports import LOOPBACK, answers, pick
from deploy.launcher.report import say

ROOT = Path(__file__).parents[2]
_READY_TIMEOUT = 60.0
_STOP_TIMEOUT = 20.0
_PAUSE = 1.0
"""Seconds until a service that has ended by itself is started again."""
_SOON = 10.0
_IN_VAIN = 3
"""One that has ended so often within `_SOON` seconds of its start is not started once more."""


@dataclass(frozen=True, slots=True)
class Service:
    """A service as it is started: an ASGI application factory, served by one process."""

    name: str  # such as "command"; its URL is given to others as KITHLOG_COMMAND_URL
    factory: str  # such as "services.command.app:create_app"
    preferred_port: int | None = None

    @property
    def variable(self) -> str:
        return f"KITHLOG_{self.name.upper()}_URL"


@dataclass(frozen=True, slots=True)
class Running:
    service: Service
    port: int
    child: Child

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def ready(self) -> bool:
        """Whether ``/readyz`` answers 200."""
        if not answers(self.port):
            return False
        try:
            return httpx.get(f"{self.url}/readyz", timeout=5.0, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False


SERVICES = (
    Service("command", "services.command.app:create_app", 8101),
    Service("projector", "services.projector.app:create_app", 8102),
)


@contextlib.contextmanager
def running(
    services: Sequence[Service], env: Mapping[str, str], logs: Path | None, root: Path = ROOT
) -> Iterator[list[Running]]:
    """Starts them together, returns when all are ready, stops them in the opposite order.

    ``logs`` is the folder for their output; without one it goes where the launcher's goes. LaunchFailure when one
    ends or is not ready in time.
    """
    with contextlib.ExitStack() as ends:
        started: list[Running] = []
        for index, service in enumerate(services):
            started.append(_start(service, pick(service.preferred_port), env, logs, root))
            ends.callback(_stop, started, index)
        for one in started:
            one.child.wait_until(one.ready, _READY_TIMEOUT)
        yield started


def _stop(started: Sequence[Running], index: int) -> None:
    started[index].child.stop(timeout=_STOP_TIMEOUT)  # the one that is there now: `keep_up` may have replaced it


def watch(watched: Sequence[Child], until: Child) -> int:
    """Waits for ``until`` to end by itself; its exit code. LaunchFailure when one of the watched ends before."""
    while (ended := until.exit_code) is None:
        for child in watched:
            if (code := child.exit_code) is not None:
                raise child.failure(f"ended with {code}")
        time.sleep(0.2)
    return ended


def keep_up(up: list[Running], env: Mapping[str, str], root: Path = ROOT) -> NoReturn:
    """Starts each again that has ended by itself, on its port, in its place in ``up``. LaunchFailure when that does not
    help."""
    began, in_vain = [time.monotonic()] * len(up), [0] * len(up)
    while True:
        for index, one in enumerate(up):
            if (code := one.child.exit_code) is not None:
                in_vain[index] = in_vain[index] + 1 if time.monotonic() - began[index] < _SOON else 0
                if in_vain[index] == _IN_VAIN:
                    raise one.child.failure(f"ended with {code}")
                say(f"{one.child.name} ended with {code}: once more in {_PAUSE:.0f} s")
                time.sleep(_PAUSE)
                up[index] = _start(one.service, one.port, env, None, root)
                began[index] = time.monotonic()
        time.sleep(0.2)


def _start(service: Service, port: int, env: Mapping[str, str], logs: Path | None, root: Path) -> Running:
    command: list[str | Path] = [sys.executable, "-m", "uvicorn", "--factory", service.factory]
    command += ["--host", LOOPBACK, "--port", str(port), "--log-level", "warning"]
    command += ["--timeout-graceful-shutdown", "10"]
    log = logs / f"{service.name}.log" if logs else None
    say(f"starting the {service.name} service on port {port} …")
    return Running(service, port, Child(f"the {service.name} service", command, env=env, log=log, cwd=root))
