"""The long verbs show how far they are: to people at a terminal, and to nobody else."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from tests.cli.terminal import Terminal
from tests.cli.test_replay import on_channel
from tests.projector.histories import START
from tests.rebuild.conftest import opened

QUEUE = "crm.events"
BAR = "━"
SPAN = ("--from", "2026-03-01", "--to", "2026-04-15")
POLICIES = "shared/timing/policies.toml"
LONG = [
    (("log", "export", "{new}"), ["export"]),
    (("log", "import", "{exported}"), ["check", "import"]),
    (("verify",), ["checking the log", "folding", "comparing"]),
    (("rebuild", "pipeline"), ["folding", "comparing"]),
    (("replay", "run", QUEUE, "--why", "test"), ["replay"]),
    (("policy", "simulate", "--policy", POLICIES, *SPAN), ["folding"]),
]


@pytest.fixture
def desk(database_url: str, amqp_url: str) -> Terminal:
    """A log that was folded, and a consumer's queue."""

    async def fold() -> None:
        async with opened(database_url) as system:
            await system.at(START)
            await system.happen(2)
            await system.fold()

    asyncio.run(fold())
    terminal = Terminal(database_url, amqp_url, TERM="xterm")
    on_channel(terminal, lambda channel: channel.declare_queue(QUEUE, durable=True))
    return terminal


def seen(terminal: Terminal, *words: str) -> str:
    """What standard error shows when it alone is a terminal, without colours and movements."""
    screen, stderr = os.openpty()
    process = terminal.process(*words, stdout=subprocess.DEVNULL, stderr=stderr)
    os.close(stderr)
    shown = b""
    with suppress(OSError):  # as the end of a terminal is read
        while piece := os.read(screen, 4096):
            shown += piece
    os.close(screen)
    assert process.wait(timeout=60) == 0, shown
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())


@pytest.mark.parametrize(("verb", "steps"), [pytest.param(verb, steps, id=" ".join(verb[:2])) for verb, steps in LONG])
def test_a_long_verb_shows_its_progress_on_a_terminal(
    desk: Terminal, verb: tuple[str, ...], steps: list[str], tmp_path: Path
) -> None:
    """Given a long verb, when it runs at a terminal, each of its steps has a bar with rate and time left; when its
    messages go elsewhere, or with --json, none has."""
    exported = tmp_path / "log"
    assert desk.run("log", "export", str(exported)).code == 0

    def words(run: str) -> list[str]:
        return [word.format(new=tmp_path / run, exported=exported) for word in verb]

    shown = seen(desk, *words("shown"))
    for step in steps:
        assert re.search(rf"{step} {BAR}+ +\d+/\d+ [\d,]+/s \d+:\d\d:\d\d", shown), shown
    assert BAR not in seen(desk, *words("json"), "--json")
    piped = desk.run(*words("piped"))
    assert (piped.code, BAR in piped.err) == (0, False)
