"""Refusals as they are kept: the first answer to a command that was refused, from which it is given again."""

from __future__ import annotations

import json

from shared.domain.kernel import Refusal, Stream
from shared.log import WrongVersion


def to_json(refusal: Refusal | WrongVersion) -> str:
    if isinstance(refusal, WrongVersion):
        return json.dumps({"expected": refusal.expected, "actual": refusal.actual})
    return json.dumps(
        {
            "code": refusal.code,
            "detail": refusal.detail,
            "remedy": refusal.remedy,
            "field": refusal.field,
            "kind": refusal.kind,
        }
    )


def from_json(document: str, stream: Stream) -> Refusal | WrongVersion:
    """`stream` is the command's: its version is what was expected to be another."""
    kept = json.loads(document)
    return WrongVersion(stream, **kept) if "expected" in kept else Refusal(**kept)
