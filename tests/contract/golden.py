"""One stored sample of every event and schema version: bytes that must be readable for ever.

`python -m tests.contract.golden` adds those that are missing. It never touches one that is there: it stands for what
lies in logs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from shared.codec import encode
from shared.contract.event_schemas import event_schema
from shared.domain.catalogue import EVENTS
from shared.domain.kernel import Event

FOLDER = Path(__file__).parent / "stored"


@dataclass(frozen=True, slots=True)
class Golden:
    """A stored payload."""

    type: str
    schema_version: int
    data: bytes

    def __str__(self) -> str:
        return f"{self.type}.v{self.schema_version}"


def file_of(event: type[Event]) -> Path:
    return FOLDER / f"{event.type}.v{event.schema_version}.jsonl"


def golden() -> list[Golden]:
    """All there are: of each event one with all fields, and one with no more than it must have."""
    samples = []
    for file in sorted(FOLDER.glob("*.jsonl")):
        type, _, version = file.stem.rpartition(".v")
        samples += [Golden(type, int(version), line) for line in file.read_bytes().splitlines()]
    return samples


def add_missing() -> list[Path]:
    """Write samples of the events that have none; answers their files."""
    FOLDER.mkdir(exist_ok=True)
    missing = [event for event in EVENTS.values() if not file_of(event).exists()]
    for event in missing:
        samples = [encode(event.model_validate(example)) for example in event_schema(event)["examples"]]
        file_of(event).write_bytes(b"".join(sample + b"\n" for sample in samples))
    return [file_of(event) for event in missing]


if __name__ == "__main__":
    for file in add_missing():
        print(f"added {file.name}")  # noqa: T201 - that is what it is run for
