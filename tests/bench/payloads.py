"""Payloads of the size that real events have: about 500 bytes of JSON."""

from __future__ import annotations

import json

_SENTENCE = "She said that agencies are looser than they look and that a brief on one page opens doors. "


def payload(number: int) -> bytes:
    """UTF-8 JSON of 500 bytes, different for each number."""
    body = {"number": number, "note": ""}
    room = 500 - len(json.dumps(body))
    body["note"] = (_SENTENCE * 8)[:room]
    return json.dumps(body).encode()
