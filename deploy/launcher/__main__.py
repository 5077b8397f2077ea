"""``python -m deploy.launcher demo|run|infra``: what make calls."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

from deploy.launcher.child import Child
from deploy.launcher.failure import LaunchFailure
from deploy.launcher.infrastructure import Infrastructure
from deploy.launcher.interruption import Interrupted, interruptible
from deploy.launcher.report import say, tail
from deploy.launcher.services import ROOT, SERVICES, Running, Service, keep_up, running, watch

STORY = [sys.executable, "-m", "deploy.demo"]


def settings_of(infrastructure: Infrastructure, up: Sequence[Running] = ()) -> dict[str, str]:
    """How a service, the demo or a command of the user finds what runs."""
    urls = {one.service.variable: one.url for one in up}
    if infrastructure.mode == "local":
        urls["KITHLOG_MANAGEMENT_URL"] = infrastructure.rabbitmq.management_url
    return {
        "KITHLOG_DATABASE_URL": infrastructure.database_url,
        "KITHLOG_AMQP_URL": infrastructure.amqp_url,
    } | urls


def demo(
    infrastructure: Infrastructure, env: Mapping[str, str], services: Sequence[Service], story: Sequence[str]
) -> int:
    """Plays the story against the services; its exit code."""
    logs = infrastructure.run.path
    # Its services are on this machine, to which no proxy leads; what it writes goes with the run, however that ends.
    own = {name: value for name, value in env.items() if not name.lower().endswith("_proxy")} | {"TMPDIR": str(logs)}
    with running(services, {**env, **settings_of(infrastructure)}, logs) as up:
        told = Child("the demo", story, env={**own, **settings_of(infrastructure, up)}, log=None, cwd=ROOT)
        try:
            code = watch([one.child for one in up], until=told)
        finally:
            told.stop()
        if code != 0:
            for one in up:
                end = tail(logs / f"{one.service.name}.log")
                say(f"the end of the {one.service.name} service's log:\n{end}")
        return code


def run(infrastructure: Infrastructure, env: Mapping[str, str], services: Sequence[Service]) -> NoReturn:
    """Keeps the services up, their logs on the terminal, until interrupted."""
    given = {**env, **settings_of(infrastructure)}
    with running(services, given, logs=None) as up:
        for one in up:
            say(f"{one.service.name} service: {one.url} (API at {one.url}/docs)")
        _print_ways_in(infrastructure)
        keep_up(up, given)


def infra(infrastructure: Infrastructure, env: Mapping[str, str], command: Sequence[str]) -> int:
    """Runs a command with PostgreSQL and RabbitMQ at hand; its exit code. Without one, keeps them up."""
    if not command:
        _print_ways_in(infrastructure)
        signal.pause()
    urls = {"DATABASE_URL": infrastructure.database_url, "AMQP_URL": infrastructure.amqp_url}
    child = Child(command[0], command, env={**env, **urls, **settings_of(infrastructure)}, log=None)
    try:
        return child.wait()
    finally:
        child.stop()


def _print_ways_in(infrastructure: Infrastructure) -> None:
    if infrastructure.mode != "external":
        # The passwords were made for this run and end with it.
        for name, value in settings_of(infrastructure).items():
            say(f"export {name}={value}")
    say("up; Ctrl-C ends it")


def main(
    arguments: Sequence[str] | None = None,
    services: Sequence[Service] = SERVICES,
    story: Sequence[str] = STORY,
) -> int:
    """Exit code: of what was run; 0 for what stays up until interrupted; 1 when something did not come up."""
    parser = argparse.ArgumentParser(prog="python -m deploy.launcher", description=__doc__)
    parser.add_argument("what", choices=["demo", "run", "infra"])
    parser.add_argument("command", nargs=argparse.REMAINDER, help="for infra: a command to run with both")
    chosen = parser.parse_args(arguments)
    env = dict(os.environ)
    wanted = env.get("INFRA", "auto")
    try:
        with (
            interruptible(),
            Infrastructure.start(wanted, env=env, preferred_ports=True) as infrastructure,
        ):
            say(infrastructure.banner)
            if wanted == "auto" and infrastructure.mode == "external" and chosen.what != "infra":
                # The variables have common names: what they say may be meant for something else.
                infrastructure.refuse_used()
            if chosen.what == "demo":
                return demo(infrastructure, env, services, story)
            if chosen.what == "run":
                run(infrastructure, env, services)
            return infra(infrastructure, env, chosen.command)
    except LaunchFailure as failure:
        say(str(failure))
        return 1
    except Interrupted as interrupted:
        stays_up = chosen.what == "run" or (chosen.what == "infra" and not chosen.command)
        return 0 if stays_up else 128 + interrupted.number


if __name__ == "__main__":
    sys.exit(main())
