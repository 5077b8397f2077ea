"""Every verb of `kithlog` explains itself, with an example, and can be read by a program."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from services.cli.main import app
from services.cli.showing import line
from shared.envelope import Recorded
from tests.cli.terminal import Terminal, end


def verbs() -> Iterator[tuple[str, Any]]:
    root: Any = get_command(app)
    for name in root.list_commands(None):
        found = root.get_command(None, name)
        if getattr(found, "commands", None):
            yield from ((f"{name} {verb}", command) for verb, command in found.commands.items())
        else:
            yield name, found


@pytest.mark.parametrize(("words", "verb"), [pytest.param(words, verb, id=words) for words, verb in verbs()])
def test_a_verb_has_an_example_and_json(words: str, verb: Any) -> None:
    """Given a verb, when it is asked for help, then it shows an example of itself, and that it speaks JSON."""
    said = CliRunner().invoke(app, [*words.split(), "--help"], env={"COLUMNS": "200"})
    assert said.exit_code == 0
    assert re.search(rf"Examples?: kithlog {words}\b", said.stdout)
    assert any("--json" in parameter.opts for parameter in verb.params)


@pytest.mark.parametrize(
    "words",
    [
        "asof stream 6a2e0c1e-7d55-4d0b-9a0b-7b0f5f5f3a03 --tenant acme",
        "dead list",
        "doctor",
        "log stats",
        "parked list",
        "policy simulate --policy shared/timing/policies.toml --from 2026-03-01 --to 2026-04-01",
        "rebuild",
        "reminders 6a2e0c1e-7d55-4d0b-9a0b-7b0f5f5f3a03 --tenant acme",
        "replay list",
        "rollback pipeline --why x",
        "verify",
    ],
)
def test_settings_that_can_not_be_are_named_without_their_value(words: str) -> None:
    """Given a setting that can't be used, when any verb runs, then the code is 2 and its value is not told."""
    env = {"KITHLOG_DATABASE_URL": "mysql://secret", "KITHLOG_AMQP_URL": "http://secret"}
    said = CliRunner().invoke(app, words.split(), env=env)
    assert (said.exit_code, said.stdout) == (2, "")
    assert "KITHLOG_DATABASE_URL: " in said.stderr
    assert "KITHLOG_AMQP_URL: " in said.stderr
    assert "secret" not in said.stderr


@pytest.mark.parametrize(
    "words",
    ["rebuild", "rollback pipeline --why x", "verify", "policy simulate --policy {} --from 2026-03-01 --to 2026-04-01"],
)
def test_policies_that_are_no_text_are_told(tmp_path: Path, words: str) -> None:
    """Given a file of policies in another encoding than UTF-8, when a verb wants it, then the code is 2, and a line
    says so."""
    file = tmp_path / "policies.toml"
    file.write_bytes(b"# \xff")
    said = CliRunner().invoke(app, words.format(file).split(), env={"KITHLOG_POLICIES": str(file)})
    assert (said.exit_code, said.stdout, said.stderr.count("\n")) == (2, "", 1)
    assert "policies can't be used: 'utf-8' codec can't decode byte 0xff" in said.stderr


def test_a_file_that_is_read_is_let_go_by_ctrl_c(tmp_path: Path) -> None:
    """Given a file that gives nothing for long, when Ctrl-C is pressed while it is checked, then the code is 130."""
    file = tmp_path / "log.jsonl"
    os.mkfifo(file)
    process = Terminal("postgresql://a:b@127.0.0.1:1/x").process("log", "import", "--check", str(file))
    with file.open("wb"):  # which returns when the other side is at it
        said = end(process)
    assert (said.code, said.out, said.err) == (130, "", "kithlog: interrupted\n")


def test_there_is_shell_completion() -> None:
    """Given the root, when it is asked for help, then it can install its completion; and what a shell asks of the
    process, by whatever path it was started, is answered."""
    assert "--install-completion" in CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"}).stdout
    asked = {"_KITHLOG_COMPLETE": "complete_bash", "COMP_WORDS": "kithlog re", "COMP_CWORD": "1"}
    command = [sys.executable, "-m", "services.cli.main"]
    said = subprocess.run(command, env=os.environ | asked, capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["rebuild", "reminders", "replay"]


def test_policies_to_try_that_are_no_tables(tmp_path: Path) -> None:
    """Given a file of policies that is TOML and holds none, when it is to be tried, then the code is 2, and it is told
    what stands where."""
    (tmp_path / "new.toml").write_text("[policies]\nthank_you = 3")
    words = ["policy", "simulate", "--policy", str(tmp_path / "new.toml"), "--from", "2026-03-01", "--to", "2026-04-01"]
    said = CliRunner().invoke(app, words)
    assert (said.exit_code, said.stdout) == (2, "")
    assert "policies: each stands in a table [policies.<name>]" in " ".join(said.stderr.split())


def test_a_notification_is_told_in_brief() -> None:
    """Given the end of a round of reminders, when it is shown on a line, then its stages and the reason are told."""
    at = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
    id = UUID(int=7)
    data = (
        b'{"kind":"thank_you","stage":"due","reason":"withdrawn","because":"interview.thanked",'
        b'"others":[{"stage":"overdue"},{"stage":"last_call"}]}'
    )
    ended = Recorded(
        9, 1, "acme", "notification", id, 1, id, "notification.withdrawn", 1, at, at, "policy:x", id, id, id, data
    )
    assert line(ended).endswith("thank_you/due+overdue+last_call: withdrawn, because of interview.thanked")
