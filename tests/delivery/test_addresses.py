"""To whom a mail goes."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest

from deploy.delivery.desk import DELAYS
from deploy.delivery.settings import DeliverySettings
from tests.delivery.office import (
    COACH,
    NOON,
    THEO,
    Office,
    a_due,
    a_problem,
)


async def test_a_seeker_who_is_not_there_is_reported_for_good(office: Office) -> None:
    """Given the query service's own word that there is none, then nobody can be written to."""
    office.kithlog.instead = lambda request: a_problem(404, "unknown_seeker") if request.method == "GET" else None
    await office.deliver(a_due())
    [(report, body)] = office.kithlog.reports
    assert (office.mailbox.mails, report, body["permanent"]) == ([], "report-failed", True)


@pytest.mark.parametrize("seeker", [{}, {"name": "Maya", "email": None}, {"name": "Maya", "email": "a b@c@d"}])
async def test_whoever_has_no_address_is_reported_for_good(office: Office, seeker: dict[str, Any]) -> None:
    """So that Kithlog can tell the coach."""
    office.kithlog.seeker = seeker
    await office.deliver(a_due())
    [(report, body)] = office.kithlog.reports
    assert (office.mailbox.mails, report, body["permanent"]) == ([], "report-failed", True)


async def test_a_coach_is_told_about_the_seeker(office: Office) -> None:
    await office.deliver(a_due(stage="coach", role="coach"))
    [mail] = office.mailbox.mails
    assert mail["To"] == "coach@example.org"
    assert mail["Subject"] == "Maya <b> has not thanked Theo Adeyemi yet"


@pytest.mark.parametrize("address", ["", "no address"])
async def test_a_coach_without_an_address_is_left_to_be_mended(office: Office, address: str) -> None:
    """Given a coach whose address nobody knows, or one that is none, then the mail is tried again; when somebody has
    told it, it is sent. What expires before that is no failure for good."""
    office.coaches = {UUID(COACH): address}
    soon = (NOON + DELAYS[0]).isoformat()
    await office.deliver(a_due(1, stage="coach", role="coach"), a_due(2, stage="coach", role="coach", expires_at=soon))
    assert office.kithlog.reports == []
    office.coaches = {UUID(COACH): "coach@example.org"}
    office.clock.instant += DELAYS[0]
    await office.work()
    assert [mail["To"] for mail in office.mailbox.mails] == ["coach@example.org"]
    assert sorted((each, body.get("permanent")) for each, body in office.kithlog.reports) == [
        ("report-delivered", None),
        ("report-failed", False),
    ]


async def test_a_coach_whom_no_setting_names_is_written_to_as_the_programmes_say(office: Office) -> None:
    """Given programmes that tell addresses of coaches, then the latest one's is taken; a setting comes before it."""
    office.coaches = {}
    coached = [(THEO, "theo@example.org"), (COACH, "early@example.org"), (COACH, "late@example.org"), (COACH, None)]
    office.kithlog.programmes = [{"coaches": [{"coach_id": id, "name": None, "email": email}]} for id, email in coached]
    await office.deliver(a_due(1, stage="coach", role="coach"))
    office.coaches = {UUID(COACH): "coach@example.org"}
    await office.deliver(a_due(2, stage="coach", role="coach"))
    assert [mail["To"] for mail in office.mailbox.mails] == ["late@example.org", "coach@example.org"]


def test_a_coachs_id_may_be_written_in_any_way(monkeypatch: pytest.MonkeyPatch) -> None:
    id = UUID("a0000000-0000-4000-8000-00000000000b")
    monkeypatch.setenv("KITHLOG_DELIVERY_COACHES", json.dumps({str(id).upper(): "coach@example.org"}))
    assert DeliverySettings().coaches == {id: "coach@example.org"}


@pytest.mark.parametrize(
    ("domain", "written"),
    [("bücher.example", "xn--bcher-kva.example"), ("Straße.example", "xn--strae-oqa.example"), ("a_b.c", "a_b.c")],
)
async def test_an_address_in_a_domain_with_other_letters_is_written_to(
    office: Office, domain: str, written: str
) -> None:
    """As the DNS has it, which is what every mail server takes."""
    office.kithlog.seeker = {"name": "Jané", "email": f"jane@{domain}"}
    await office.deliver(a_due())
    [mail] = office.mailbox.mails
    assert (mail["To"].addresses[0].addr_spec, mail["To"].addresses[0].display_name) == (f"jane@{written}", "Jané")
