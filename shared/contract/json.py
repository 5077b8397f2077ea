"""JSON documents, as the contract handles them."""

from __future__ import annotations

import json
from typing import Any

Json = dict[str, Any]
"""A JSON object."""


def render(document: Json) -> str:
    """The document as it is committed: the same text for the same content, whoever made it."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
