"""What a platform does: sends commands over HTTP, and asks what came of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from http.client import SERVICE_UNAVAILABLE
from time import monotonic
from types import TracebackType
from typing import Any
from uuid import UUID, uuid5

import httpx

from deploy.demo.story import Step

A_MOMENT = 0.5
"""Seconds before a query is repeated."""
PATIENCE = 60.0
"""Seconds that the demo waits for what falls due, or is to be seen, within some."""


class InVain(Exception):
    """What was waited for did not happen."""


class NotAccepted(Exception):
    """The command service refused what the story needs."""


class Platform:
    """The two services, seen through their public HTTP interfaces."""

    def __init__(self, command_url: str, projector_url: str, tenant: str, run: UUID) -> None:
        self._commands = httpx.AsyncClient(base_url=command_url, timeout=30)
        self._queries = httpx.AsyncClient(base_url=projector_url, timeout=30)
        self._tenant, self._run = tenant, run
        self.position = 0
        """Of the last command that was accepted: what a query must have seen."""

    async def __aenter__(self) -> Platform:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._commands.aclose()
        await self._queries.aclose()

    async def write_up(self, steps: Sequence[Step]) -> None:
        """Send all steps as one import. Raises `NotAccepted`."""
        lines = "".join(json.dumps(self._message(step)) + "\n" for step in steps)
        answer = await self._commands.post(
            "/v1/commands/bulk", content=lines, headers={"Content-Type": "application/x-ndjson"}
        )
        answer.raise_for_status()
        for step, line in zip(steps, answer.text.splitlines(), strict=True):
            outcome = json.loads(line)
            if "answer" not in outcome:
                raise NotAccepted(f"{step.command}: {line}")
            self.position = max(self.position, outcome["answer"]["position"])

    async def send(self, step: Step) -> httpx.Response:
        """Send one step to its own endpoint; the answer may be a refusal."""
        category, _, verb = step.command.partition(".")
        answer = await self._commands.post(
            f"/v1/tenants/{self._tenant}/{category}s/{step.id}/{verb.replace('_', '-')}",
            params={"occurred_at": step.at.isoformat()},
            headers={"Idempotency-Key": str(self._command_id(step)), "X-Actor": "platform:demo"},
            json=step.data,
        )
        if answer.is_success:
            self.position = answer.json()["position"]
        return answer

    async def do(self, step: Step) -> None:
        """Send one step. Raises `NotAccepted`."""
        answer = await self.send(step)
        if not answer.is_success:
            raise NotAccepted(f"{step.command}: {answer.text}")

    async def ask(self, path: str, **parameters: Any) -> dict[str, Any]:
        """Query a read model that has seen all that was accepted so far. Raises `InVain`."""
        url, query = f"/v1/tenants/{self._tenant}{path}", {"min_position": self.position, **parameters}
        give_up_at = monotonic() + PATIENCE
        while (answer := await self._queries.get(url, params=query)).status_code == SERVICE_UNAVAILABLE:
            if monotonic() > give_up_at:
                raise InVain(f"the projector has not seen position {self.position}: {answer.text}")
            await asyncio.sleep(A_MOMENT)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    async def states(self) -> list[str]:
        """What either service says of itself at `/readyz`: a line each, for a story that does not go on."""
        told = []
        for name, client in (("command service", self._commands), ("projector", self._queries)):
            try:
                answer = await client.get("/readyz")
            except httpx.HTTPError as error:
                told.append(f"the {name} is away: {error!r}")
            else:
                told.append(f"the {name} answers {answer.status_code}: {answer.text}")
        return told

    def _command_id(self, step: Step) -> UUID:
        return uuid5(self._run, f"{step.command} {step.id} {step.at}")

    def _message(self, step: Step) -> dict[str, Any]:
        return {
            "command": step.command,
            "tenant": self._tenant,
            "id": str(step.id),
            "command_id": str(self._command_id(step)),
            "occurred_at": step.at.isoformat(),
            "actor": "platform:demo",
            "data": step.data,
        }
