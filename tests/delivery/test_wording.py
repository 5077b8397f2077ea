"""What a mail says."""

from __future__ import annotations

import zoneinfo
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.delivery.mailbox import text_of
from deploy.delivery.wording import piece, thanks, wording, write
from shared.timing.policies import default_policies
from tests.delivery.office import (
    COACH,
    LEAD,
    TALK,
    Office,
    a_due,
)

VALUES = {
    "seeker": "Maya",
    "contacts": "Theo",
    "met": "Dora",
    "lead": " (Ben)",
    "about": "agencies",
    "when": "soon",
    "draft": "…",
}


async def test_a_thank_you_comes_with_a_draft_of_what_was_noted(office: Office) -> None:
    """Given notes of the conversation, when the thank-you falls due, then the mail holds a draft that uses them, as
    text and as HTML in which nothing that people wrote is markup, and the delivery is reported.
    """
    office.kithlog.notes = [
        {"interview_id": COACH, "advice": [], "points": ["of another one"], "text": None},
        {"interview_id": TALK, "advice": [{"text": "Learn to <write> briefs"}], "points": ["p"], "text": "t"},
    ]
    await office.deliver(a_due())
    [mail] = office.mailbox.mails
    html = mail.get_body(("html",))
    assert html is not None
    assert (mail["To"], mail["Subject"]) == ('"Maya <b>" <maya@example.org>', "Say thank you to Theo Adeyemi")
    assert "What stays with me above all: Learn to <write> briefs." in text_of(mail)
    assert "agency work" in text_of(mail)
    assert "Learn to &lt;write&gt; briefs" in html.get_content()
    assert "<b>" not in html.get_content()
    assert office.kithlog.reports == [("report-delivered", {"channel": "email"})]


@pytest.mark.parametrize(
    ("zone", "when"), [("Europe/Lisbon", "at 09:00 (Europe/Lisbon)"), ("Atlantis/Capital", "at 09:00 (UTC)")]
)
async def test_a_time_is_told_by_the_zones_that_the_log_goes_by(
    office: Office, tmp_path: Path, zone: str, when: str
) -> None:
    """Given a machine whose own zones say something else, then the mail does not; one that is not known is UTC."""
    tokyo = files("tzdata").joinpath("zoneinfo", "Asia", "Tokyo").read_bytes()
    (tmp_path / "zones" / "Europe").mkdir(parents=True)
    (tmp_path / "zones" / "Europe" / "Lisbon").write_bytes(tokyo)
    talk = {"about": "work", "starts_at": "2026-03-02T09:00:00Z", "time_zone": zone}
    office.kithlog.instead = lambda request: (
        httpx.Response(200, json={"item": talk}) if "/interviews/" in request.url.path else None
    )
    zoneinfo.reset_tzpath([str(tmp_path / "zones")])
    zoneinfo.ZoneInfo.clear_cache()
    try:
        await office.deliver(a_due(kind="confirmation"))
    finally:
        zoneinfo.reset_tzpath()
        zoneinfo.ZoneInfo.clear_cache()
    [mail] = office.mailbox.mails
    assert when in text_of(mail)


@pytest.mark.parametrize(
    ("home", "when"),
    [
        (
            "America/New_York",
            "on Sunday, 1 March at 20:00 (America/New_York; Monday, 2 March at 10:00 in Asia/Tokyo)",
        ),
        ("Asia/Seoul", "on Monday, 2 March at 10:00 (Asia/Tokyo)"),
        ("Atlantis/Capital", "on Monday, 2 March at 10:00 (Asia/Tokyo)"),
    ],
)
async def test_a_time_is_told_on_the_seekers_own_clock_first(office: Office, home: str, when: str) -> None:
    """Given a conversation agreed on by the contact's clock, then the mail says when that is where the seeker lives,
    and both where they show different times."""
    talk = {"about": "work", "starts_at": "2026-03-02T01:00:00Z", "time_zone": "Asia/Tokyo"}
    office.kithlog.instead = lambda request: (
        httpx.Response(200, json={"item": talk}) if "/interviews/" in request.url.path else None
    )
    office.kithlog.seeker["time_zone"] = home
    await office.deliver(a_due(kind="confirmation"))
    [mail] = office.mailbox.mails
    assert when in text_of(mail)


@pytest.mark.parametrize(
    ("lead", "named"),
    [
        ({"person": "Dora Lindt", "what": "runs a studio"}, " (Dora Lindt)"),
        ({"person": None, "what": "Read the\n\nquarterly"}, " (Read the quarterly)"),
        ({"person": None, "what": "a " * 30 + "longer word " * 20}, f" ({'a ' * 30}longer word longer …)"),
        ({"person": None, "what": "(forgotten)"}, ""),
    ],
)
async def test_a_mail_about_a_lead_names_it(office: Office, lead: dict[str, Any], named: str) -> None:
    """Given several leads of one contact, then the mail about each says which, as far as that is known still."""
    office.kithlog.lead = lead
    await office.deliver(a_due(kind="act_on_lead", interview_id=None, lead_id=LEAD))
    [mail] = office.mailbox.mails
    assert mail["Subject"] == f"A lead from Theo Adeyemi is waiting{named}"
    assert f"gave you a lead{named}, and it" in text_of(mail)


async def test_thanks_up_the_chain_say_what_for(office: Office) -> None:
    """Given a conversation that somebody led to, then the mail about their thanks says with whom it was."""
    await office.deliver(a_due(kind="thank_introducer"))
    [mail] = office.mailbox.mails
    assert mail["Subject"] == "Thank Theo Adeyemi for leading you to Dora Lindt"


def test_every_policy_and_stage_has_words() -> None:
    """Given the policies of this release, then there is a mail for each of their stages, and it can be written."""
    for policy in default_policies().by_name.values():
        for stage in policy.stages:
            words = wording(policy.kind, stage.name)
            assert words is not None, (policy.kind, stage.name)
            written = write("Dear Maya,", [piece(words, VALUES)])
            assert written.subject
            assert "{" not in written.subject + written.text
            assert "<p>Dear Maya,</p>" in written.html
    assert "stays with me" not in thanks(None, VALUES)


@pytest.mark.parametrize(
    ("kind", "stage", "not_said"),
    [
        ("request_follow_up", "again", "about a week"),  # two
        ("thank_you", "overdue", "within a day"),  # over
        ("thank_you", "last_call", "days have passed"),  # it comes earlier where that is at night
        ("thank_you", "coach", "three days"),  # working days, after a write-up that may be late
        ("keep_in_touch", "cooling", "long"),  # the first time it is six weeks after the thanks
    ],
)
def test_a_mail_states_nothing_that_its_stage_makes_false(kind: str, stage: str, not_said: str) -> None:
    words = wording(kind, stage)
    assert words is not None
    assert not_said not in words["text"].lower()
