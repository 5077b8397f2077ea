"""How well rule 3 judges real phrasings: precision and recall on what it was tuned on, and on what it never saw.

The protocol, the split and the history of the figures: `tests/data/phrasings/README.md`.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from shared.domain.conversation import check_question

_FOLDER = Path(__file__).parents[2] / "data" / "phrasings"
_MEASURE_DIGEST = "931e5d3e9a12a7541d6015d8e6b94e9032843cf31e3f9fd2ed5aaeee27d0ab1c"
_ROUNDS = {"tune": {*range(1, 17), 18, *range(20, 27)}, "measure": {17, 19}}
_judged = cache(check_question)
"""Every phrasing is judged once, however many tests ask."""


@dataclass(frozen=True)
class Phrasing:
    """A labelled line."""

    round: int
    verdict: str
    code: str
    text: str


def _read(part: str) -> list[Phrasing]:
    lines = (_FOLDER / f"{part}.tsv").read_text(encoding="utf-8").split("\n")
    rows = [line.split("\t") for line in lines[1:] if line]
    return [Phrasing(int(round_), verdict, code, text) for round_, verdict, code, text in rows]


def _precision_and_recall(phrasings: list[Phrasing], verdict: str) -> tuple[float, float]:
    seen = Counter((p.verdict == verdict, _judged(p.text).verdict == verdict) for p in phrasings)
    right = seen[True, True]
    return right / (right + seen[False, True]), right / (right + seen[True, False])


@pytest.mark.parametrize(
    ("part", "verdict", "precision_floor", "recall_floor"),
    [
        ("tune", "refused", 0.99, 0.97),
        ("tune", "warn", 0.96, 0.97),
        ("measure", "refused", 0.98, 0.96),
        ("measure", "warn", 0.94, 0.85),
    ],
)
def test_the_measured_floors_hold(part: str, verdict: str, precision_floor: float, recall_floor: float) -> None:
    """Given the labelled phrasings of a part, when all are judged, then precision and recall stay above the floors."""
    precision, recall = _precision_and_recall(_read(part), verdict)
    assert precision >= precision_floor
    assert recall >= recall_floor


def test_the_measure_part_is_frozen() -> None:
    """Given the measure part, then it is byte for byte what it was when it was first scored."""
    assert hashlib.sha256((_FOLDER / "measure.tsv").read_bytes()).hexdigest() == _MEASURE_DIGEST


def test_a_round_lies_whole_in_one_part() -> None:
    """Given both parts, then each holds the rounds that the protocol gives it, and no part of another."""
    assert {part: {phrasing.round for phrasing in _read(part)} for part in _ROUNDS} == _ROUNDS


def test_no_phrasing_is_in_both_parts_or_twice() -> None:
    """Given both parts together, then every text is there once."""
    texts = [phrasing.text for part in ("tune", "measure") for phrasing in _read(part)]
    assert len(texts) == len(set(texts)) >= 400


@pytest.mark.parametrize("part", ["tune", "measure"])
def test_every_phrasing_is_taken_for_english(part: str) -> None:
    """Given English as people type it, short, misspelt or shouted, when it is judged, then it really was judged."""
    unjudged = [p.text for p in _read(part) if not _judged(p.text).judged]
    assert unjudged == []


def test_a_refusal_gives_the_labelled_reason() -> None:
    """Given the refusals of the tuned part, when they are judged, then the code is nearly always the labelled one."""
    refused = [p for p in _read("tune") if p.verdict == "refused"]
    judged = [(p, _judged(p.text)) for p in refused]
    agreeing = sum(j.code == p.code for p, j in judged if j.verdict == "refused")
    assert agreeing / len(refused) >= 0.85
