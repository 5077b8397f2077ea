"""`kithlog questions`: try a list of questions, or have one proposed, without a server."""

import json
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.table import Table
from rich.text import Text

from services.cli.tables import console
from shared.domain.conversation import Judgement, ProposedQuestion, check_question, propose
from shared.domain.values import Purpose

app = typer.Typer(no_args_is_help=True, help="Check questions against rule 3, or propose some from the bank.")

_STYLES = {"ok": "green", "warn": "yellow", "refused": "red"}
_EXIT_REFUSED = 1
_EXIT_USAGE = 2


@app.command()
def check(
    file: Annotated[str, typer.Argument(help="A text file with one question a line; - reads standard input.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
    language: Annotated[str | None, typer.Option(help="The list's language, e.g. en; else it is guessed.")] = None,
) -> None:
    """Say of each question whether it may be asked, and if not, why, and how to put it better.

    Exit code 0: nothing is refused; 1: something is; 2: the list can't be read.

    Example: kithlog questions check questions.txt
    """
    judged = [
        (number, check_question(line, language=language))
        for number, line in enumerate(_lines(_read(file)), start=1)
        if line.strip()
    ]
    if as_json:
        for number, judgement in judged:
            typer.echo(json.dumps(_as_object(number, judgement)))
    else:
        _print_judgements(judged)
    if any(judgement.verdict == "refused" for _, judgement in judged):
        raise typer.Exit(_EXIT_REFUSED)


@app.command("propose")
def propose_questions(
    purpose: Annotated[Purpose, typer.Argument(help="What to learn about.")],
    role: Annotated[str | None, typer.Option(help="The contact's role, e.g. 'data engineer'.")] = None,
    field: Annotated[str | None, typer.Option(help="The field, e.g. 'public health'.")] = None,
    company: Annotated[str | None, typer.Option(help="The contact's company.")] = None,
    count: Annotated[int, typer.Option(min=1, help="How many questions to ask.")] = 10,
    reserve: Annotated[int, typer.Option(min=0, help="How many to keep in reserve.")] = 5,
    exclude: Annotated[list[str] | None, typer.Option(help="Ids of questions that were asked before.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
) -> None:
    """Propose questions in the order to ask them, and some in reserve.

    Example: kithlog questions propose role --role "data engineer" --count 8
    """
    proposal = propose(
        purpose, role=role, field=field, company=company, count=count, reserve=reserve, exclude=exclude or ()
    )
    if as_json:
        for question in proposal.questions:
            typer.echo(json.dumps(_question_object(question, in_reserve=False)))
        for question in proposal.reserve:
            typer.echo(json.dumps(_question_object(question, in_reserve=True)))
        return
    _print_questions("Questions", proposal.questions)
    if proposal.reserve:
        _print_questions("In reserve", proposal.reserve)


def _read(file: str) -> str:
    """Read the list as UTF-8, with or without a byte order mark; ends the program when that is impossible."""
    name = "standard input" if file == "-" else file
    try:
        raw = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        _fail(f"{name} is not UTF-8 text: byte {error.start} can't be read")
    except (OSError, ValueError) as error:
        _fail(f"can't read {name}: {getattr(error, 'strerror', None) or error}")


def _lines(text: str) -> list[str]:
    """Cut at line ends only: `str.splitlines` also cuts at form feeds and the like, and line numbers would be off."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _fail(message: str) -> NoReturn:
    typer.echo(f"kithlog: {message}", err=True)
    raise typer.Exit(_EXIT_USAGE)


def _as_object(number: int, judgement: Judgement) -> dict[str, object]:
    return {
        "line": number,
        "text": judgement.text,
        "verdict": judgement.verdict,
        "judged": judgement.judged,
        "not_judged": judgement.not_judged,
        "code": judgement.code,
        "reason": judgement.reason,
        "words": list(judgement.words),
        "spans": [[span.start, span.end] for span in judgement.spans],
        "suggestion": judgement.suggestion,
    }


def _question_object(question: ProposedQuestion, *, in_reserve: bool) -> dict[str, object]:
    return {"id": question.id, "topic": question.topic, "text": question.text, "reserve": in_reserve}


def _print_judgements(judged: list[tuple[int, Judgement]]) -> None:
    table = Table("line", "verdict", "question", "why, and what to ask instead")
    for number, judgement in judged:
        question = Text(_printable(judgement.text))
        for span in judgement.spans:
            question.stylize("bold underline", span.start, span.end)
        remarks = [remark for remark in (judgement.reason, judgement.suggestion) if remark]
        verdict = judgement.verdict if judgement.judged else "not judged"
        table.add_row(str(number), Text(verdict, _STYLES[judgement.verdict]), question, Text("\n→ ".join(remarks)))
    console().print(table)


def _printable(text: str) -> str:
    """Keep a list's control characters from the terminal; offsets stay what they were."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _print_questions(title: str, questions: tuple[ProposedQuestion, ...]) -> None:
    table = Table("", "topic", "question", title=title)
    table.add_column("id", no_wrap=True)
    for number, question in enumerate(questions, start=1):
        table.add_row(str(number), question.topic.replace("_", " "), Text(question.text), question.id)
    console().print(table)
