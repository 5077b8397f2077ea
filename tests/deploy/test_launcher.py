"""The launcher as a program: what it starts, what it says, and that it leaves nothing running."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import aiormq
import httpx
import pytest

from deploy.launcher import services
from deploy.launcher.__main__ import demo
from deploy.launcher.child import descendants
from deploy.launcher.failure import LaunchFailure
from deploy.launcher.folders import RunFolder
from deploy.launcher.infrastructure import Infrastructure
from deploy.launcher.services import ROOT, Service, keep_up, running
from deploy.launcher.sql import fetch_value
from shared.broker.topology import COMMANDS

STANDIN = Service("command", "tests.deploy.standin:create_app")
BROKEN = Service("projector", "tests.deploy.standin:create_broken_app")
LIMIT = 60.0
# The launcher with the stand-in for a service, and with a story that shows what it was told and fails.
PROGRAM = f"""
import sys
from deploy.launcher.__main__ import main
from deploy.launcher.services import Service
sys.exit(main(sys.argv[1:], services=[{STANDIN!r}], story=[
    sys.executable, "-c",
    "import httpx, os, sys; print(httpx.get(os.environ['KITHLOG_COMMAND_URL']).text); sys.exit(5)",
]))
"""


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A folder for run folders that any user may enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="kithlog-test-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def launch(scratch: Path, what: str, **settings: str) -> subprocess.Popen[str]:
    env = {k: v for k, v in os.environ.items() if k not in ("DATABASE_URL", "AMQP_URL")}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, what],
        cwd=ROOT,
        env={**env, "TMPDIR": str(scratch), "INFRA": "local", **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def lines_until(launcher: subprocess.Popen[str], end: str) -> list[str]:
    assert launcher.stderr is not None
    lines: list[str] = []
    for line in launcher.stderr:
        lines.append(line.strip())
        if end in line:
            return lines
    pytest.fail(f"it ended without saying {end!r}: {lines}")


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 0), (signal.SIGTERM, 0), (signal.SIGKILL, -signal.SIGKILL)],
    ids=["Ctrl-C", "TERM", "kill -9"],
)
def test_when_the_launcher_ends_nothing_is_left(scratch: Path, number: signal.Signals, code: int) -> None:
    """Given PostgreSQL, RabbitMQ and a service up, when the launcher gets the signal, then every process of it ends.

    Its folder is gone too; after ``kill -9``, when the next run starts.
    """
    with launch(scratch, "run") as launcher:
        said = lines_until(launcher, "Ctrl-C ends it")
        family = descendants(launcher.pid)
        ends = [os.pidfd_open(pid) for pid in family]
        assert len(family) > 3
        launcher.send_signal(number)
        assert all(select.select([end], [], [], LIMIT)[0] for end in ends)
        for end in ends:
            os.close(end)
        assert launcher.wait(LIMIT) == code
    assert sum(line.startswith("kithlog: INFRA=local · PostgreSQL ") for line in said) == 1
    RunFolder.create(scratch).remove()
    assert list(scratch.glob("*kithlog*")) == []


def test_when_make_is_killed_nothing_is_left(infra: Infrastructure, scratch: Path) -> None:
    """Given the launcher as make started it, when make is killed with SIGKILL, then the launcher ends in order."""
    command = [
        "make",
        "--no-print-directory",
        "--assume-old=.venv/.ready",
        f"BIN={Path(sys.executable).parent}",
        "infra",
    ]
    urls = {"DATABASE_URL": infra.database_url, "AMQP_URL": infra.amqp_url}
    env = os.environ | urls | {"TMPDIR": str(scratch), "INFRA": "external"}
    with subprocess.Popen(command, cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True) as make:
        lines_until(make, "Ctrl-C ends it")
        ends = [os.pidfd_open(pid) for pid in descendants(make.pid)]
        assert len(ends) == 1
        make.kill()
        assert select.select(ends, [], [], LIMIT)[0]
        os.close(ends[0])
    assert list(scratch.glob("kithlog*")) == []


def test_the_demos_exit_code_is_the_launchers(infra: Infrastructure, scratch: Path) -> None:
    """Given servers and a service, when the story ends with 5, then so does the launcher; the story found the service,

    which had found its database.
    """
    urls = {"DATABASE_URL": infra.database_url, "AMQP_URL": infra.amqp_url}
    with launch(scratch, "demo", INFRA="external", **urls) as launcher:
        told, said = launcher.communicate(timeout=LIMIT)
    assert launcher.returncode == 5
    assert told.strip() == infra.database_url
    assert "INFRA=external" in said


def test_the_story_finds_its_services_past_a_proxy_and_writes_into_the_run(scratch: Path, tmp_path: Path) -> None:
    """Given a proxy for all in the environment, then the story asks its services itself; what it leaves behind when it
    is killed goes with the run's folder."""
    run = RunFolder.create(scratch)
    given = Infrastructure("external", "postgresql://somewhere/kithlog", "amqp://somewhere/", "", run)
    story = f"""
import httpx, os, pathlib, tempfile
told = httpx.get(os.environ["KITHLOG_COMMAND_URL"]).text
pathlib.Path("{tmp_path}", "told").write_text(told)
pathlib.Path(tempfile.mkdtemp(prefix="kithlog-demo-"), "mails").touch()
os.abort()
"""
    proxies = {"HTTP_PROXY": "http://127.0.0.1:1", "all_proxy": "socks5://127.0.0.1:1"}
    env = {**os.environ, **proxies, "TMPDIR": str(scratch)}
    assert demo(given, env, [STANDIN], [sys.executable, "-c", story]) == 128 + signal.SIGABRT
    assert (tmp_path / "told").read_text() == given.database_url
    run.remove()
    assert list(scratch.iterdir()) == []


def test_servers_that_are_only_given_are_not_used_where_they_hold_anything(
    infra: Infrastructure, empty_database_url: str, scratch: Path
) -> None:
    """Given both URLs and no word that they are meant, when the database has tables, or the virtual host Kithlog's
    queues, then no service is started; else, or where they are meant, one is."""
    vhost_url = infra.rabbitmq.create_vhost("given")

    async def declare(url: str) -> None:
        connection = await aiormq.connect(url)
        await (await connection.channel()).queue_declare(COMMANDS, durable=True)
        await connection.close()

    def told(mode: str) -> tuple[int, str]:
        urls = {"DATABASE_URL": empty_database_url, "AMQP_URL": vhost_url}
        with launch(scratch, "demo", INFRA=mode, **urls) as launcher:
            _, said = launcher.communicate(timeout=LIMIT)
        return launcher.returncode, said

    assert told("auto")[0] == 5
    fetch_value(empty_database_url, "CREATE TABLE invoice ()")
    code, said = told("auto")
    assert (code, "has tables: nothing was done. INFRA=external" in said) == (1, True), said
    fetch_value(empty_database_url, "DROP TABLE invoice")
    asyncio.run(declare(vhost_url))
    code, said = told("auto")
    assert (code, "has Kithlog's queues: nothing" in said) == (1, True), said
    assert told("external")[0] == 5
    infra.rabbitmq.delete_vhost("given")


def test_servers_that_do_not_answer_end_the_launcher_with_1(scratch: Path) -> None:
    urls = {"DATABASE_URL": "postgresql://127.0.0.1:1/kithlog", "AMQP_URL": "amqp://127.0.0.1:1/"}
    with launch(scratch, "demo", INFRA="external", **urls) as launcher:
        _, said = launcher.communicate(timeout=LIMIT)
    assert launcher.returncode == 1
    assert "kithlog: PostgreSQL at 127.0.0.1:1/kithlog: " in said
    assert "Traceback" not in said


def test_a_service_that_is_killed_is_started_again(infra: Infrastructure, scratch: Path) -> None:
    """Given `run`, when a service is killed with SIGKILL, then a line says so, another is at its place, which ends with
    the launcher."""
    urls = {"DATABASE_URL": infra.database_url, "AMQP_URL": infra.amqp_url}
    with launch(scratch, "run", INFRA="external", **urls) as launcher:
        [url] = [line.split()[3] for line in lines_until(launcher, "Ctrl-C ends it") if "API at" in line]
        [killed] = descendants(launcher.pid)
        os.kill(killed, signal.SIGKILL)
        assert "the command service ended with 137: once more in 1 s" in lines_until(launcher, "once more")[-1]
        lines_until(launcher, f"starting the command service on port {url.rpartition(':')[2]} …")
        patient = httpx.HTTPTransport(retries=10)  # waits for longer and longer, together for some minutes
        with httpx.Client(transport=patient) as client:
            assert client.get(url).text == infra.database_url
        [another] = descendants(launcher.pid)
        assert another != killed
        end = os.pidfd_open(another)
        launcher.send_signal(signal.SIGINT)
        assert launcher.wait(LIMIT) == 0
        assert select.select([end], [], [], LIMIT)[0]
        os.close(end)


def test_a_service_that_never_stays_up_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Given a service that can't start any more, when it has ended, then after three times it is the failure that it is
    elsewhere at once."""
    monkeypatch.setattr(services, "_PAUSE", 0)
    monkeypatch.setattr(services, "_SOON", LIMIT)
    with running([STANDIN], os.environ, tmp_path) as up:
        up[0] = replace(up[0], service=BROKEN)
        up[0].child.kill()
        with pytest.raises(LaunchFailure, match="the projector service ended with 1"):
            keep_up(up, os.environ)
    said = capfd.readouterr().err
    assert (said.count("once more"), said.count("RuntimeError: the stand-in cannot start")) == (2, 2)
    assert stand_ins() == []


def stand_ins() -> list[int]:
    """Those that this process has started, and no other: the servers of the session start and end processes, too."""
    found: list[int] = []
    for pid in descendants(os.getpid()):
        with suppress(OSError):
            if "tests.deploy.standin" in Path(f"/proc/{pid}/cmdline").read_text():
                found.append(pid)
    return found


def test_services_are_up_and_ready_and_then_gone(tmp_path: Path) -> None:
    with running([STANDIN], os.environ, tmp_path) as up:
        assert httpx.get(f"{up[0].url}/readyz", trust_env=False).status_code == 200
        assert stand_ins() == [up[0].child.pid]
    assert not up[0].child.running


def test_a_service_that_cannot_start_shows_why_and_takes_the_others_down(tmp_path: Path) -> None:
    """Given one service that starts and one that fails, then the failure shows the end of its log; both are gone."""
    reason = r"(?s)the projector service ended with.*the stand-in cannot start"
    with pytest.raises(LaunchFailure, match=reason), running([STANDIN, BROKEN], os.environ, tmp_path):
        pytest.fail("it was taken for ready")
    assert stand_ins() == []
