"""The shape of each read model's rows, beside its version: what is stored can be read only by a release that agrees.

`python -m tests.models.shapes` (part of `make schemas`) writes `shapes.json` anew, once the versions are raised.
"""

from __future__ import annotations

import json
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from services.projector.folding.read_model import StoredRows
from services.projector.folding.timing_rows import OF_TIMING
from services.projector.models import MODELS

FILE = Path(__file__).with_name("shapes.json")
ALL: tuple[StoredRows[Any], ...] = (*MODELS, *OF_TIMING.values())


def shape_of(row: type[Any]) -> str:
    """A digest of the names and types of the fields, without what is said about them."""
    schema = TypeAdapter(row).json_schema(mode="serialization")
    return sha256(json.dumps(_bare(schema), sort_keys=True).encode()).hexdigest()[:16]


def _bare(schema: Any) -> Any:
    if isinstance(schema, dict):
        # Where the value is no text, a field bears that name.
        words = {name for name in ("description", "title") if isinstance(schema.get(name), str)}
        return {name: _bare(value) for name, value in schema.items() if name not in words}
    return [_bare(each) for each in schema] if isinstance(schema, list) else schema


def present() -> dict[str, dict[str, Any]]:
    return {model.name: {"version": model.version, "shape": shape_of(model.row)} for model in ALL}


def committed() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads(FILE.read_text())
    return found


def unraised(before: dict[str, dict[str, Any]], now: dict[str, dict[str, Any]]) -> list[str]:
    """The models whose rows have another shape in the same version, or an older one."""
    return [
        name
        for name, model in now.items()
        if (known := before.get(name)) is not None
        and (model["version"] < known["version"] or (model["version"] == known["version"] and model != known))
    ]


def main() -> None:
    now = present()
    if names := unraised(committed() if FILE.exists() else {}, now):
        sys.exit(f"raise `version` of {', '.join(names)}: their rows have another shape than before")
    FILE.write_text(json.dumps(now, indent=2) + "\n")


if __name__ == "__main__":
    main()
