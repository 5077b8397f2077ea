"""Texts of what is nested in commands: from callers none may be blank, from the log whatever was recorded is read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args, get_origin

import pytest
from pydantic import BaseModel, ValidationError

from shared.domain import interview
from shared.domain.catalogue import COMMANDS
from shared.domain.kernel import Command
from shared.domain.values import FROM_CALLER

BLANK = " \t\u00a0 "
Place = tuple[str | int, ...]


def _blank_texts(annotation: Any) -> Iterator[tuple[Any, Place]]:
    """What to send for a type that has models in it, one of their texts being blank, and where that stands."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, info in annotation.model_fields.items():
            if _is_text(info.annotation):
                yield {name: BLANK}, (name,)
            for value, at in _blank_texts(info.annotation):
                yield {name: value}, (name, *at)
    in_list = get_origin(annotation) is tuple
    for each in get_args(annotation):
        for value, at in _blank_texts(each):
            yield ([value], (0, *at)) if in_list else (value, at)


def _is_text(annotation: Any) -> bool:
    return annotation is str or any(_is_text(each) for each in get_args(annotation))


NESTED: list[tuple[type[Command], Any, Place]] = [
    (command, {name: value}, (name, *at))
    for command in COMMANDS.values()
    for name, info in command.model_fields.items()
    for value, at in _blank_texts(info.annotation)
]


@pytest.mark.parametrize(
    ("command", "body", "at"), [pytest.param(*each, id=f"{each[0].type}: {each[2]}") for each in NESTED]
)
def test_no_nested_text_is_blank(command: type[Command], body: dict[str, Any], at: Place) -> None:
    """Given white space as a text of what is nested in a command, when it comes from a caller, then that is invalid."""
    with pytest.raises(ValidationError) as invalid:
        command.model_validate(body, context=FROM_CALLER)
    assert at in [error["loc"] for error in invalid.value.errors()]


def test_every_nested_text_is_looked_at() -> None:
    """Given the commands, then those are found of which it is known that they nest texts."""
    assert {at[-1] for _, _, at in NESTED} == {"text", "title", "url"}
    assert {command for command, _, _ in NESTED} >= {interview.ChooseQuestions, interview.TakeNotes}


def test_what_was_recorded_blank_is_read() -> None:
    """Given a log of a release that took blank questions, when it is read, then it holds them still."""
    chosen = {"seeker_id": f"{0:032x}", "contact_ids": [f"{1:032x}"], "questions": [{"text": BLANK}]}
    assert interview.QuestionsChosen.model_validate(chosen).questions[0].text == BLANK
