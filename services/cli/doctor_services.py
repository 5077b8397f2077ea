"""What can be wrong with the services themselves, as their `/readyz` tells: no server shows why one has stopped."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from services.cli.findings import Finding, State, ok

_STATES: dict[str, State] = {"ok": "ok", "degraded": "look", "failing": "wrong"}
_PATIENCE = 10.0
"""Seconds: `/readyz` gives its own checks two."""


async def look_at_services(command_url: str | None, projector_url: str | None) -> list[Finding]:
    asked = await asyncio.gather(_look_at("command", command_url), _look_at("projector", projector_url))
    return [finding for each in asked for finding in each]


async def _look_at(service: str, url: str | None) -> list[Finding]:
    """One process, or whichever answers of several behind one address."""
    where, variable = f"{service} service", f"KITHLOG_{service.upper()}_URL"
    if url is None:
        return [Finding(where, "readiness", "unknown", "nobody said where it is", f"give {variable}")]
    try:
        async with httpx.AsyncClient(timeout=_PATIENCE, trust_env=False) as client:
            checks = (await client.get(f"{url.rstrip('/')}/readyz")).json()["checks"]
        return [_found(where, name, check) for name, check in checks.items()]
    except (httpx.TransportError, httpx.InvalidURL) as error:
        return [Finding(where, "readiness", "away", f"{type(error).__name__}: {error}",
                        f"start it, or correct {variable}")]  # fmt: skip
    except (ValueError, LookupError, TypeError, AttributeError):
        return [Finding(where, "readiness", "look", "what answers there is none of Kithlog's services",
                        f"correct {variable}")]  # fmt: skip


def _found(where: str, name: str, check: dict[str, Any]) -> Finding:
    state, detail = _STATES[check["state"]], check["detail"]
    return ok(where, name, detail) if state == "ok" else Finding(where, name, state, detail, "see the service's log")
