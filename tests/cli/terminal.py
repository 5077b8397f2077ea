"""`kithlog` as somebody at a terminal runs it: words in, exit code and text out."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from services.cli.main import app
from shared.database.pool import connect, open_pool
from shared.domain.kernel import Event
from shared.envelope import Recorded
from shared.log import Append, Appended, Log
from tests.projector.histories import Happening, appends, history

ROOT = Path(__file__).parents[2]
# Whoever is started in the background ignores Ctrl-C, and so do those whom it starts: nobody at a terminal does.
_AT_A_TERMINAL = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("services.cli.main", run_name="__main__")
"""


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def objects(self) -> list[dict[str, Any]]:
        """What `--json` printed."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def object(self) -> dict[str, Any]:
        assert self.code == 0, self
        [one] = self.objects
        return one


class Terminal:
    """Runs verbs against one database and one broker."""

    def __init__(self, database_url: str, amqp_url: str = "amqp://guest:guest@127.0.0.1:1/", **more: str) -> None:
        self.database_url, self.amqp_url = database_url, amqp_url
        self.env = {
            "KITHLOG_DATABASE_URL": database_url,
            "KITHLOG_AMQP_URL": amqp_url,
            "KITHLOG_ACTOR": "ines@desk",
            "COLUMNS": "200",
            **more,
        }

    def run(self, *words: str, stdin: str | None = None, **env: str) -> Said:
        result = CliRunner().invoke(app, words, input=stdin, env=self.env | env)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Said(result.exit_code, result.stdout, result.stderr)

    def json(self, *words: str, **env: str) -> Said:
        return self.run(*words, "--json", **env)

    def process(
        self,
        *words: str,
        stdin: int | None = None,
        stdout: int = subprocess.PIPE,
        stderr: int = subprocess.PIPE,
    ) -> subprocess.Popen[str]:
        """The same as a process of its own, to be interrupted or killed."""
        return subprocess.Popen(
            [sys.executable, "-c", _AT_A_TERMINAL, *words],
            cwd=ROOT,
            env=os.environ | self.env,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            text=True,
        )

    def query(self, sql: str, *arguments: Any) -> list[tuple[Any, ...]]:
        async def ask() -> list[tuple[Any, ...]]:
            connection = await connect(self.database_url)
            try:
                return [tuple(row) for row in await connection.fetch(sql, *arguments)]
            finally:
                await connection.close()

        return asyncio.run(ask())

    def write(self, happenings: Sequence[Happening], *, after: int = 0) -> None:
        """Append each by itself, with receipts; the streams must be new."""
        self.append(appends(happenings, after=after))

    def append(self, wanted: Sequence[Append]) -> None:
        async def write() -> None:
            async with await open_pool(self.database_url) as pool, Log.open(pool, self.database_url) as log:
                outcomes = await log.append_all(wanted)
                assert all(isinstance(outcome, Appended) for outcome in outcomes), outcomes

        asyncio.run(write())

    def log(self) -> list[Recorded[bytes]]:
        async def read() -> list[Recorded[bytes]]:
            async with await open_pool(self.database_url) as pool, Log.open(pool, self.database_url) as log:
                return await log.read(0, 1_000_000)

        return asyncio.run(read())


def end(process: subprocess.Popen[str], number: signal.Signals = signal.SIGINT) -> Said:
    """Send a signal to a process, and what it said before it was gone."""
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    return Said(process.returncode, out, err)


__all__ = ["Event", "Said", "Terminal", "end", "history"]
