"""Tables as people read them, and copy from: on a terminal of eighty columns, and where a file or a pipe is none."""

from __future__ import annotations

import pytest

from services.cli.tables import console, show_table

ID, STREAM = "3f2a91c04be7", "6a2e0c1e-7d55-4d0b-9a0b-7b0f5f5f3a03"
DETAIL = f"interview/{STREAM} already exists"
DEAD = ("id", "command", "tenant", "stream_id", "reason", "detail")


@pytest.fixture
def eighty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


@pytest.mark.usefixtures("eighty")
def test_what_does_not_fit_beside_each_other_is_told_field_by_field(capsys: pytest.CaptureFixture[str]) -> None:
    """Given rows whose words are wider than the terminal, then each field that is there has a line, in one piece."""
    rows = [(ID, "interview.plan", "acme", STREAM, "already_exists", DETAIL), (ID, None, "acme", None, "not_json", "")]
    show_table(DEAD, rows)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        ["id", ID],
        ["command", "interview.plan"],
        ["tenant", "acme"],
        ["stream_id", STREAM],
        ["reason", "already_exists"],
        ["detail", *DETAIL.split()],
        [],
        ["id", ID],
        ["tenant", "acme"],
        ["reason", "not_json"],
    ]


@pytest.mark.usefixtures("eighty")
def test_no_word_is_broken_while_there_is_room_for_it(capsys: pytest.CaptureFixture[str]) -> None:
    """Given a row whose words fit, then they are whole, however much there is to say beside them."""
    told = "nothing reads it, and so it changes nothing whatever it may say to those who have set it " * 2
    show_table(
        ("where", "what", "state", "detail"),
        [("environment", "KITHLOG_DATABASE_URL", "look", told), ("rabbitmq", "queue kithlog.commands", "ok", "")],
    )
    out = capsys.readouterr().out
    words = ["environment", "KITHLOG_DATABASE_URL", "kithlog.commands", *told.split()]
    assert [word for word in words if word not in out.split()] == []
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.usefixtures("eighty")
def test_of_two_columns_the_second_is_folded_and_nothing_is_cut_off(capsys: pytest.CaptureFixture[str]) -> None:
    """Given a value without a blank that is longer than a line, then all of it is there."""
    show_table(("field", "value"), [("body", "x" * 200)])
    assert capsys.readouterr().out.count("x") == 200


def test_what_is_no_terminal_has_no_width(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a pipe, then a row is a line, as long as it is; so is a line of what is no table."""
    monkeypatch.delenv("COLUMNS", raising=False)
    show_table(DEAD, [(ID, "interview.plan", "acme", STREAM, "already_exists", DETAIL * 10)])
    assert DETAIL * 10 in capsys.readouterr().out
    console().print("word " * 100)
    assert capsys.readouterr().out.split("\n")[1:] == [""]


def test_numbers_stand_to_the_right(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(("", "events"), [("acme", "7"), ("globex", "12,000")])
    assert "│ acme   │      7 │" in capsys.readouterr().out
