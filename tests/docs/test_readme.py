"""The README says what is so: its tables are complete, its walk-through runs."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import aio_pika
import pytest

from deploy.demo import __main__ as demo
from deploy.launcher.infrastructure import Infrastructure
from deploy.launcher.services import ROOT, SERVICES, running
from shared.broker import topology
from tests.docs.reference import PAGES, README, TABLES, written

TEXT = README.read_text(encoding="utf-8")


def test_every_setting_metric_and_field_is_documented() -> None:
    """And every one documented exists: `python -m tests.docs.reference` writes the tables anew."""
    pages = [page.read_text(encoding="utf-8") for page in PAGES]

    assert [written(page) for page in pages] == pages
    assert all(sum(f"<!-- {name} -->" in page for page in pages) == 1 for name in TABLES)


def test_every_target_and_file_that_it_names_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"`?\bmake ([a-z]+)`", TEXT)) | set(re.findall(r"^make ([a-z]+)", TEXT, re.MULTILINE))
    links = re.findall(r"\]\(([^)#:]+)\)", TEXT)
    paths = re.findall(r"`((?:shared|services|deploy|tests)/[\w/.]+)`", TEXT)
    assert all((targets, links, paths)), "it names some of each"
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"make {target}"
    for path in (*links, *paths):
        assert (ROOT / path).exists(), path


def test_what_is_for_cron_holds_no_percent_sign() -> None:
    """In a line of a crontab it ends the command: what needs one is in a script, which such a line calls."""
    page = (ROOT / "services" / "cli" / "README.md").read_text(encoding="utf-8")
    # Each paragraph with the block that it introduces.
    parts = [part for part in re.split(r"\n\n(?!```)|```\n(?!\n)", page) if re.search(r"\bcron\b", part)]
    assert len(parts) >= 3
    for words, *blocks in (part.split("```sh\n") for part in parts):
        lines = [*re.findall(r"`([^`\n]+[^`\n])`", words), *(each for each in blocks if not each.startswith("#!"))]
        assert [line for line in lines if re.search(r"(?<!\\)%", line)] == []


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where both services write what they have to say."""
    return tmp_path_factory.mktemp("logs")


@pytest.fixture(scope="module")
def services(infra: Infrastructure, logs: Path) -> Iterator[dict[str, str]]:
    """Both services, as the launcher starts them, on a database and a virtual host of their own."""
    env = {
        **os.environ,
        "KITHLOG_DATABASE_URL": infra.postgres.create_database("readme"),
        "KITHLOG_AMQP_URL": infra.rabbitmq.create_vhost("readme"),
        "KITHLOG_WAIT_LIMIT": "60",  # for what was just written, on slow machines too
    }
    with running(SERVICES, env, logs) as up:
        urls = {one.service.variable: one.url for one in up}
        yield {**env, **urls}
    infra.rabbitmq.delete_vhost("readme")
    infra.postgres.drop_database("readme")


@pytest.mark.skipif(shutil.which("curl") is None, reason="the walk-through uses curl, which is not installed here")
def test_the_walk_through_runs(services: dict[str, str]) -> None:
    """Given both services, when the README's commands are typed, then each succeeds and the thank-you is scheduled."""
    found = re.search(r"<!-- walkthrough -->\n```sh\n(.*?)```", TEXT, re.DOTALL)
    assert found is not None
    env = {**services, "COMMAND": services["KITHLOG_COMMAND_URL"], "QUERY": services["KITHLOG_PROJECTOR_URL"]}
    shown = subprocess.run(["sh", "-euc", found[1]], env=env, capture_output=True, text=True, timeout=60, check=False)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    answers = [json.loads(line) for line in shown.stdout.splitlines() if line]
    pipeline, schedule = (answer for answer in answers if "items" in answer)
    assert [row["status"] for row in pipeline["items"]] == ["held"]
    assert schedule["items"][0]["policy"] == "thank_you"
    assert "kithlog.interview.held.v1" in [answer["type"] for answer in answers if "specversion" in answer]


def test_the_demo_ends_well(services: dict[str, str], logs: Path) -> None:
    """Given both services, when the story is played, then everything falls due once and the demo says so."""
    told = subprocess.run(
        [sys.executable, "-m", "deploy.demo"],
        env=services, cwd=ROOT, capture_output=True, text=True, timeout=150, check=False,
    )  # fmt: skip
    assert told.returncode == 0, told.stdout + told.stderr + "".join(log.read_text() for log in logs.iterdir())
    assert "thank_you/due for seeker" in told.stdout
    assert "keep_in_touch/due for seeker" in told.stdout
    assert "refused asks_for_job" in told.stdout
    assert "Subject: Say thank you to Theo Okafor" in told.stdout
    assert "with me above all: Learn to write a brief" in told.stdout


def test_a_demo_that_is_told_to_end_leaves_nothing(
    services: dict[str, str], infra: Infrastructure, tmp_path: Path
) -> None:
    """Given the story under way, when it is told to end, then its queues, which outlive connections, are gone, and so
    are its files."""
    with subprocess.Popen(
        [sys.executable, "-m", "deploy.demo"],
        env={**services, "TMPDIR": str(tmp_path)}, cwd=ROOT, stdout=subprocess.PIPE, text=True,
    ) as story:  # fmt: skip
        assert story.stdout is not None
        assert any("What falls due now" in line for line in story.stdout)
        story.terminate()
        story.communicate(timeout=60)
    assert story.returncode == 128 + signal.SIGTERM
    assert "kithlog.delivery" not in infra.rabbitmq.ctl("list_queues", "-p", "readme", "name", "--silent")
    assert list(tmp_path.iterdir()) == []


async def test_a_demo_that_hears_nothing_says_what_is_missing(
    services: dict[str, str], infra: Infrastructure, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given a broker to which nobody publishes, when the story is played, then it names what did not fall due, and what
    the services say of themselves."""
    elsewhere = infra.rabbitmq.create_vhost("elsewhere")
    for name, value in {**services, "KITHLOG_AMQP_URL": elsewhere}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(demo, "PATIENCE", 0.1)
    async with await aio_pika.connect(elsewhere) as connection:
        await topology.declare_on(connection)

    assert await demo.main() == 1

    told = capsys.readouterr().out
    assert "Within 0.1 s keep_in_touch/due, thank_you/due did not fall due." in told
    assert "the command service answers 200" in told
    assert "the projector answers 200" in told
    infra.rabbitmq.delete_vhost("elsewhere")
