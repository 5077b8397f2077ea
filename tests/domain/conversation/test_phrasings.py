"""How well rule 3 judges real phrasings: precision and recall on what it was tuned on, and on what it never saw.

The protocol, the split and the history of the figures: `tests/data/phrasings/README.md`.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from shared.domain.conversation import check_question

_FOLDER = Path(__file__).parents[2] / "data" / "phrasings"
_MEASURE_DIGEST = "a59de342a7c663fcdb1be45d7c122b3c28c7d33cefeae29d5dbd590d01b88e08"
_FIRST_ROUND, _LAST_ROUND = 1, 8
_LATER_ROUNDS = {"tune": {2, 3, 4, 5, 7}, "measure": {6, _LAST_ROUND}}


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
    seen = Counter((p.verdict == verdict, check_question(p.text).verdict == verdict) for p in phrasings)
    right = seen[True, True]
    return right / (right + seen[False, True]), right / (right + seen[True, False])


@pytest.mark.parametrize(
    ("part", "verdict", "precision_floor", "recall_floor"),
    [
        ("tune", "refused", 0.99, 0.98),
        ("tune", "warn", 0.96, 0.98),
        ("measure", "refused", 0.96, 0.93),
        ("measure", "warn", 0.95, 0.90),
    ],
)
def test_the_measured_floors_hold(part: str, verdict: str, precision_floor: float, recall_floor: float) -> None:
    """Given the labelled phrasings of a part, when all are judged, then precision and recall stay above the floors."""
    precision, recall = _precision_and_recall(_read(part), verdict)
    assert precision >= precision_floor
    assert recall >= recall_floor


def test_the_last_round_keeps_its_only_score() -> None:
    """Given the last round, written after the rules and scored once, when judged, then its score has not sunk."""
    last = [phrasing for phrasing in _read("measure") if phrasing.round == _LAST_ROUND]
    precision, recall = _precision_and_recall(last, "refused")
    assert precision >= 0.95
    assert recall >= 0.81


def test_the_measure_part_is_frozen() -> None:
    """Given the measure part, then it is byte for byte what it was when it was first scored."""
    assert hashlib.sha256((_FOLDER / "measure.tsv").read_bytes()).hexdigest() == _MEASURE_DIGEST


def test_the_split_follows_its_rule() -> None:
    """Given both parts, then round 1 is split by the hash of the text, and later rounds lie whole in one part."""
    for part, parity in (("tune", 0), ("measure", 1)):
        for phrasing in _read(part):
            if phrasing.round == _FIRST_ROUND:
                assert hashlib.sha256(phrasing.text.encode()).digest()[0] % 2 == parity, phrasing.text
            else:
                assert phrasing.round in _LATER_ROUNDS[part]


def test_no_phrasing_is_in_both_parts_or_twice() -> None:
    """Given both parts together, then every text is there once."""
    texts = [phrasing.text for part in ("tune", "measure") for phrasing in _read(part)]
    assert len(texts) == len(set(texts)) >= 400


@pytest.mark.parametrize("part", ["tune", "measure"])
def test_every_phrasing_is_taken_for_english(part: str) -> None:
    """Given English as people type it, short, misspelt or shouted, when it is judged, then it really was judged."""
    unjudged = [p.text for p in _read(part) if not check_question(p.text).judged]
    assert unjudged == []


def test_a_refusal_gives_the_labelled_reason() -> None:
    """Given the refusals of the tuned part, when they are judged, then the code is nearly always the labelled one."""
    refused = [p for p in _read("tune") if p.verdict == "refused"]
    judged = [(p, check_question(p.text)) for p in refused]
    agreeing = sum(j.code == p.code for p, j in judged if j.verdict == "refused")
    assert agreeing / len(refused) >= 0.85
