"""What seekers change of the timing, by the policies that their tenant has."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

from services.command.app import create_app
from tests.command.client import REGISTER, SEEKER, message, ndjson, problem
from tests.command.conftest import FixedClock, serving, settings

TENANTS = """
[acme.thank_you.stages]
overdue = { after = { hours = 36 } }
"""


def after(**hours: int) -> dict[str, Any]:
    """Preferences by which stages of the thank-you come so many hours after the conversation."""
    return {"overrides": {"thank_you": {"stages": {name: {"after": {"hours": n}} for name, n in hours.items()}}}}


LATER, SOONER = after(due=30), after(last_call=30)
"""The first goes with what acme has, the second with what a tenant has that changes nothing: 2, 24, 48 hours."""


async def test_settings_are_judged_by_the_tenants_policies(database_url: str, tmp_path: Path) -> None:
    """Given a tenant for which a later stage comes later than for others, then its seekers may have an earlier stage
    later than the others', and not the last one sooner, in an import likewise; what two settings would be together
    counts, though each is sound by itself."""
    file = tmp_path / "policies.toml"
    file.write_text(TENANTS)
    app = create_app(settings(database_url, policies=file), clock=FixedClock())
    async with serving(app) as client:
        await app.state.gate.opened()
        for tenant, sound, unsound in (("acme", LATER, SOONER), ("other", SOONER, LATER)):
            await client.send("seekers/register", SEEKER, REGISTER, tenant=tenant)
            accepted = await client.send("seekers/change-preferences", SEEKER, sound, tenant=tenant)
            assert accepted.status_code == 200, accepted.text
            refused = await client.send("seekers/change-preferences", SEEKER, unsound, tenant=tenant)
            document = problem(refused, 422, "unsound_override")
            assert document["field"] == "/overrides/thank_you"
            assert "does not come after the one before it" in document["detail"]
        together = await client.send("seekers/change-preferences", SEEKER, after(due=35, overdue=34))
        problem(together, 422, "unsound_override")
        lines = [message("seeker.change_preferences", SEEKER, body, number=n) for n, body in ((1, LATER), (2, SOONER))]
        outcomes = await client.bulk(ndjson(*lines))
        assert [each["status"] for each in outcomes] == [200, 422]
        assert outcomes[1]["problem"]["command_id"] == str(UUID(int=2))
