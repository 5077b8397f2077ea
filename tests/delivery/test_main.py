"""`python -m deploy.delivery` as an operator starts it: what keeps it from its work is one line, and exit code 1."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from deploy.delivery import __main__ as delivery
from deploy.launcher.services import ROOT
from shared.client import FileStore, Forked

AWAY = {
    "KITHLOG_AMQP_URL": "amqp://a:b@127.0.0.1:1/",
    "KITHLOG_COMMAND_URL": "http://127.0.0.1:1",
    "KITHLOG_PROJECTOR_URL": "http://127.0.0.1:1",
    "KITHLOG_DELIVERY_SMTP_HOST": "127.0.0.1",
}


def ended(state: Path, *words: str, **settings: str) -> str:
    """The one line that it ended with."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("KITHLOG_")}
    said = subprocess.run(
        [sys.executable, "-m", "deploy.delivery", *words],
        cwd=ROOT,
        env={**clean, **AWAY, "KITHLOG_DELIVERY_STATE": str(state), **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (said.returncode, said.stderr.count("\n")) == (1, 1), said
    return said.stderr


@pytest.mark.parametrize("words", [(), ("--restored-to", "100", "2")], ids=["started", "told of a restore"])
def test_two_at_once_on_one_folder(tmp_path: Path, words: tuple[str, ...]) -> None:
    """Given a service at work, when another is started on its folder, or it is told of a restore, then that ends and
    says whose turn it is."""
    (tmp_path / "mark.json").write_text('{"epoch": 1, "proven": 120, "done": [], "begun": {}, "saves": 1}')
    with closing(FileStore(tmp_path / "mark.json")):
        assert f"another process is at work in {tmp_path}: end that first" in ended(tmp_path, *words)


def test_a_folder_that_can_not_be_used(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    assert str(file) in ended(file)


def test_a_ledger_that_can_not_be_opened(tmp_path: Path) -> None:
    (tmp_path / "mails.db").mkdir()
    assert "the ledger can't be used: unable to open database file" in ended(tmp_path)


def test_an_address_that_can_not_be_read(tmp_path: Path) -> None:
    """Given a broker's password with a letter that ends the address, then it ends and tells no piece of it."""
    told = ended(tmp_path, KITHLOG_AMQP_URL="amqp://kithlog:sec#ret@mq/")
    assert "KITHLOG_AMQP_URL: its host and port can't be read" in told
    assert "sec" not in told


def test_a_restored_log_is_told_with_what_goes_on_from_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a log that lacks what was seen, then the service ends and names the option that goes back."""

    async def forked(*_: Any) -> None:
        raise Forked("the broker told of position 120, but the log ends at 100")

    monkeypatch.setattr(delivery, "run", forked)
    monkeypatch.setattr(sys, "argv", ["deploy.delivery"])
    for name, value in (*AWAY.items(), ("KITHLOG_DELIVERY_STATE", str(tmp_path))):
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit, match=r"the log ends at 100: .*--restored-to POSITION EPOCH"):
        delivery.main()
