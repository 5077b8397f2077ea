"""Static SQL in `.sql` files: each block named and described, loaded once."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

_HEADER = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def load_queries(package: str, file: str) -> Mapping[str, str]:
    """The blocks of `file` in `package` by name.

    A block begins with `-- name: <name>`, followed by at least one comment line that says what it is for.
    Raises `ValueError` for a name given twice or a block without description.
    """
    parts = _HEADER.split(files(package).joinpath(file).read_text(encoding="utf-8"))[1:]
    queries: dict[str, str] = {}
    for name, body in zip(parts[::2], parts[1::2], strict=True):
        if name in queries:
            raise ValueError(f"{package}/{file}: query {name!r} is there twice")
        if not body.lstrip().startswith("--"):
            raise ValueError(f"{package}/{file}: query {name!r} has no description")
        queries[name] = body.strip()
    return queries


def columns(rows: Sequence[Sequence[Any]], width: int) -> list[list[Any]]:
    """Rows as `unnest` takes them: `width` arrays, also where there is no row."""
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]
