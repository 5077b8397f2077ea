"""Can what was recorded under the released contract still be read? The comparison of schemas can't see an upcaster."""

from __future__ import annotations

import json
from collections.abc import Mapping

from shared.codec import UnknownEventType, decode
from shared.contract.comparing import Change
from shared.contract.examples import recorded_example
from shared.contract.json import Json

_EVENTS = "events/"


def unreadable(released: Mapping[str, Json]) -> list[Change]:
    """A breaking change for each released event whose examples the code can't decode."""
    return [
        Change(path, f"recorded events can't be read any more: {fault}", True, "mend `UPCASTERS` in shared/codec.py")
        for path, schema in released.items()
        if path.startswith(_EVENTS) and (fault := _fault(path, schema))
    ]


def _fault(path: str, schema: Json) -> str | None:
    type, _, version = path.removeprefix(_EVENTS).removesuffix(".json").rpartition(".v")
    for payload in schema["examples"]:
        try:
            decode(recorded_example(type, int(version), payload))
        except UnknownEventType:
            return None  # that it is gone, the comparison says
        except Exception as error:  # an upcaster may raise anything
            return f"{error!r} for {json.dumps(payload)}"
    return None
