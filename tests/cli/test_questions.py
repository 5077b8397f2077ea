"""`kithlog questions`: a coach tries a list without a server."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.cli.main import app

_ROOT = Path(__file__).parents[2]
_LIST = "How did you get this job?\nCan you hire me?\n\nWhat is the typical salary?\nCombien gagnez-vous ?\n"


def _run(*arguments: str, stdin: bytes | str | None = None) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["questions", *arguments], input=stdin)
    return result.exit_code, result.stdout, result.stderr


def test_check_prints_one_object_a_question(tmp_path: Path) -> None:
    """Given a list with a forbidden ask, when checked with --json, then each line is judged and the code is 1."""
    file = tmp_path / "list.txt"
    file.write_text(_LIST, encoding="utf-8")
    code, out, _ = _run("check", "--json", str(file))
    judged = [json.loads(line) for line in out.splitlines()]
    assert code == 1
    assert [(j["line"], j["verdict"], j["judged"]) for j in judged] == [
        (1, "ok", True),
        (2, "refused", True),
        (4, "warn", True),
        (5, "ok", False),
    ]
    assert set(judged[1]) >= {"text", "verdict", "reason", "words", "suggestion", "judged", "line"}
    assert judged[1]["words"] == ["you hire me"]
    assert judged[1]["spans"] == [[4, 15]]
    assert "job" in judged[1]["reason"]


def test_check_reads_standard_input() -> None:
    """Given a harmless list on standard input, when checked, then the code is 0."""
    code, out, _ = _run("check", "--json", "-", stdin="\ufeffHow did you start?\r\nWhat do you read?\r\n")
    assert code == 0
    assert [json.loads(line)["text"] for line in out.splitlines()] == ["How did you start?", "What do you read?"]


def test_check_without_json_is_for_people() -> None:
    """Given a refused question, when checked without --json, then reason and suggestion can be read."""
    code, out, _ = _run("check", "-", stdin="How much do you make?\n\x1b[31mWhy?\n")
    assert code == 1
    assert "refused" in out
    assert "rewarding" in out
    assert "\x1b[31m" not in out


def test_lines_are_counted_as_editors_count_them() -> None:
    """Given a form feed within a line, when checked, then it does not start a new line."""
    _, out, _ = _run("check", "--json", "-", stdin="What\x0cnow?\nWhy?\n")
    assert [json.loads(line)["line"] for line in out.splitlines()] == [1, 2]


def test_a_declared_language_is_passed_on() -> None:
    """Given a list declared French, when checked, then nothing is judged."""
    _, out, _ = _run("check", "--json", "--language", "fr", "-", stdin="Can you hire me?\n")
    assert json.loads(out)["judged"] is False


def test_an_empty_list_is_not_an_error() -> None:
    """Given nothing, when checked, then nothing is printed and the code is 0."""
    assert _run("check", "--json", "-", stdin="")[:2] == (0, "")


@pytest.mark.parametrize("name", ["missing.txt", "."])
def test_what_cannot_be_read_is_a_usage_error(tmp_path: Path, name: str) -> None:
    """Given a missing file or a folder, when checked, then the code is 2 and the message names it."""
    code, out, err = _run("check", str(tmp_path / name))
    assert (code, out) == (2, "")
    assert "can't read" in err


def test_a_name_that_no_file_can_have_is_a_usage_error() -> None:
    """Given a name with a NUL in it, when checked, then the code is 2."""
    assert _run("check", "a\x00b")[0] == 2


def test_bytes_that_are_not_text_are_a_usage_error() -> None:
    """Given bytes that are not UTF-8, when checked, then the code is 2 and the message says where."""
    code, _, err = _run("check", "-", stdin=b"Why?\n\xff\xfe")
    assert code == 2
    assert "byte 5" in err


def test_propose_prints_questions_and_reserve() -> None:
    """Given a purpose and a company, when proposed with --json, then ten questions and five in reserve are printed."""
    code, out, _ = _run("propose", "company", "--company", "Acme", "--json")
    proposed = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [q["reserve"] for q in proposed] == [False] * 10 + [True] * 5
    assert proposed[9]["topic"] == "whom_else"


def test_propose_without_json_is_for_people() -> None:
    """Given a purpose, when proposed without --json, then both lists are shown."""
    code, out, _ = _run("propose", "field", "--reserve", "2")
    assert code == 0
    assert "In reserve" in out


def test_an_unknown_purpose_is_a_usage_error() -> None:
    """Given an unknown purpose, when proposed, then the code is 2."""
    assert _run("propose", "fame")[0] == 2


def test_the_program_runs_as_a_process() -> None:
    """Given the installed program, when a list is piped into it, then output and exit code are those of the command."""
    command = [sys.executable, "-m", "services.cli.main", "questions", "check", "--json", "-"]
    result = subprocess.run(command, input=b"Can you hire me?\n", capture_output=True, cwd=_ROOT, check=False)
    assert result.returncode == 1
    assert json.loads(result.stdout)["code"] == "asks_for_job"


def test_questions_need_no_database_driver() -> None:
    """Given the questions command, when it is imported, then neither database nor broker libraries are."""
    code = "import sys, services.cli.questions; print({'asyncpg', 'aio_pika', 'faststream'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=_ROOT, check=True)
    assert result.stdout.strip() == "set()"
