"""Policies are data: read, checked at start, overridden."""

from __future__ import annotations

import json
from datetime import time
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from services.projector.app import create_app
from services.projector.settings import ProjectorSettings
from shared.codec import decode
from shared.contract.examples import recorded_example
from shared.domain.catalogue import COMMANDS, EVENTS
from shared.operations.policies import load_policies
from shared.timing import calendar
from shared.timing.policies import (
    Policies,
    PolicyError,
    check_policies,
    default_policies,
    event_types,
    other_policies,
    parse_policies,
    parse_tenant_overrides,
    policies_with,
)
from shared.timing.routing import UNTIMED, leads_elsewhere, subjects
from shared.timing.waking import waking
from tests.contract.golden import golden
from tests.timing.story import SEEKER, Story

TEXT = files("shared.timing").joinpath("policies.toml").read_text("utf-8")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("acme = 3", "acme: settings stand in a table"),
        ("[acme]\nthank_you = true", "acme: settings stand in a table"),
        ("[acme.thank_yuo]\nenabled = false", "tenant acme: thank_yuo: there is no such policy"),
        ("[acme.thank_you.stages.due]\nafter = { hours = -1 }", "tenant acme: thank_you"),
        ("[acme.limits]\nwaking_hours = [8, 21]", "tenant acme: limits.waking_hours.*written out"),
        ("[ACME.thank_you]\nenabled = false", "ACME: no tenant is called so: lower-case letters"),
        ("[career_centre.thank_you]\nenabled = false", "career_centre: no tenant is called so"),
        ("[acme", "Expected"),
    ],
)
def test_what_tenants_change_is_checked_at_start(tmp_path: Path, text: str, why: str) -> None:
    """Given a file that changes what there is not, then nothing starts, and the message names tenant and policy."""
    file = tmp_path / "policies.toml"
    file.write_text(text)
    with pytest.raises(PolicyError, match=why):
        load_policies(file)


def test_the_projector_does_not_start_with_unsound_policies(tmp_path: Path) -> None:
    """Given a setting that names a file with a mistake, or none at all, then the service is not even composed."""
    file = tmp_path / "policies.toml"
    file.write_text("[acme.thank_yuo]\nenabled = false")
    with pytest.raises(ValidationError, match="thank_yuo"):
        create_app(ProjectorSettings(policies=file))
    with pytest.raises(ValidationError, match="policies"):
        ProjectorSettings(policies=tmp_path / "nowhere.toml")


def test_a_tenant_changes_a_policy(tmp_path: Path) -> None:
    """Given a file in which a tenant thanks later, then that holds for its seekers, and for nobody else's."""
    file = tmp_path / "policies.toml"
    file.write_text("[acme.thank_you.stages.due]\nafter = { hours = 3 }")
    policies = load_policies(file)
    hours = {
        tenant: policies.of(tenant).by_name["thank_you"].stages[0].model_dump()["after"] for tenant in ("acme", "other")
    }
    assert hours["acme"] != hours["other"]
    assert policies.of("other").by_name["thank_you"] == load_policies(None).by_name["thank_you"]


def test_the_defaults_name_events_fields_and_commands_that_exist() -> None:
    check_policies(default_policies(), EVENTS, COMMANDS)


def test_no_policy_listens_to_an_event_that_is_not_routed() -> None:
    for policy in default_policies().by_name.values():
        assert not UNTIMED & set(event_types(policy))
    assert set(EVENTS) >= UNTIMED


def test_it_is_known_which_events_lead_to_other_subjects() -> None:
    """Given stored samples of all events, then those of which that is said lead to subjects under other ids than their
    stream's, and no others."""
    elsewhere = set()
    for sample in golden():
        e = decode(recorded_example(sample.type, sample.schema_version, {}).holding(sample.data))
        elsewhere |= {sample.type for id in subjects(e) if id != e.stream_id}
    assert elsewhere == {type for type, kind in EVENTS.items() if leads_elsewhere(kind)}


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('armed_by = ["interview.held"]', 'armed_by = ["interview.hold"]', "no event interview.hold"),
        ('actions = ["interview.thank"]', 'actions = ["interview.praise"]', "no command interview.praise"),
        ('where = { kind = ["job_opening"] }', "where = { all = [true] }", "lead.recorded has no all"),
        ('on = "interview.thanked", of', 'on = "interview.declined", of', "interview.declined has no thanked_ids"),
        ('introduction_requested", through', 'introduction_lapsed", through', "lapsed has no connector_id"),
        ('on = "interview.held", side', 'on = "lead.recorded", side', "lead.recorded has no contact_ids"),
        ('anchor = "goal_date"', 'anchor = "starts_at"', "seeker.registered has no starts_at"),
        ('name = "overdue"', 'name = "due"', "not unique"),
        ("after = { hours = 48 }", "after = { hours = 20 }", "last_call does not come after"),
        ("before = { days = 3 }", "before = { hours = 3 }", "day_before does not come after"),
        ("after = { hours = 24 }", "after = { hours = 24, days = 1 }", "exactly one of hours"),
        ("after = { hours = 24 }", "after = { hours = -24 }", "hours: it must be 0.0 or more"),
        ("after = { hours = 24 }", "afer = { hours = 24 }", "afer"),
        ("expires_after = { days = 10 }", "expires_after = { hours = 0 }", "connect.expires_after: .*never told"),
        ("late = { days = 365 }", "late = { days = 0 }", "late: .*never told"),
        ('rearm = "keep"', "cadence_days = 30", "undeliverable: cadence_days has no effect"),
        ('rearm = "each"', "first_days = 30", "participant_stalled: first_days has no effect"),
        ("[08:00:00, 21:00:00]", "[8, 21]", "limits.waking_hours.0: .*written out"),
        ("digest_at = 09:00:00", "digest_at = 9", "limits.digest_at: .*written out"),
        ("at = 09:00:00", "at = 9", "at: .*written out"),
        ("cap_per_day = 8", "cap_per_day = 0", "cap_per_day"),
        ("cap_per_day = 8", "cap = 8", "cap"),
        ("first_days = 30", "", "first_days is needed"),
        ("[limits]", "[limits", "Expected"),
        ("[limits]", "[more]\n[limits]", "more: not known"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_at_start(old: str, new: str, problem: str) -> None:
    """Given a mistake in the file, when it is read and checked, then the problem is named."""
    assert old in TEXT
    with pytest.raises(PolicyError, match=problem):
        check_policies(parse_policies(TEXT.replace(old, new)), EVENTS, COMMANDS)


def test_tenants_override_from_a_file() -> None:
    """Given a tenant's file, then its policies differ and another tenant's do not; a mistake in it is said at start."""
    text = "[career-centre.thank_you.stages.due]\nafter = { hours = 3 }\n[career-centre.limits]\ncap_per_day = 3\n"
    policies = parse_policies(TEXT, parse_tenant_overrides(text))
    theirs, others = policies.of("career-centre"), policies.of("another")
    assert theirs.by_name["thank_you"].stages[0].span.hours == 3
    assert theirs.limits.cap_per_day == 3
    assert theirs.by_name["thank_you"].rule_version != "1"
    assert others.by_name["thank_you"] == policies.by_name["thank_you"]
    with pytest.raises(PolicyError, match=r"tenant career-centre: thank_you.*afer"):
        parse_policies(TEXT, parse_tenant_overrides(text.replace("after =", "afer =")))
    with pytest.raises(PolicyError):
        parse_tenant_overrides("[")


def test_the_fingerprint_follows_the_data() -> None:
    changed = parse_policies(TEXT.replace("hours = 48", "hours = 47"))
    assert changed.fingerprint != default_policies().fingerprint
    assert parse_policies(TEXT).fingerprint == default_policies().fingerprint
    assert parse_policies(TEXT, {"tenant": {}}).fingerprint != default_policies().fingerprint


def test_the_fingerprint_follows_the_calendar(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a release with other rules of zones or other holidays, then what was reckoned by the same policies is
    reckoned anew."""
    before = parse_policies(TEXT).fingerprint
    monkeypatch.setattr(calendar, "SOURCES", "tzdata 2099.1, holidays 1.0")
    assert parse_policies(TEXT).fingerprint != before


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        ({"thank_you": {"stages": {"due": {"after": {"hours": 3}}}}}, None),
        ({"thank_you": {"enabled": False}}, None),
        ({"thank_you": {"stages": {"last_call": {"enabled": False}}}}, None),
        ({"thank_you": {"stages": {"coach": {"enabled": False}}}}, "coach is for the coach: a seeker can't change it"),
        ({"thank_you": {"expires_after": {"hours": 0}}}, "never told"),
        ({"thank_you": {"stages": {"due": {"expires_after": {"days": 0}}}}}, "never told"),
        ({"thank_you": {"cadence_days": 30}}, "cadence_days has no effect"),
        ({"thank_you": {"first_days": 30}}, "first_days has no effect"),
        ({"keep_in_touch": {"first_days": 14, "cadence_days": 60}}, None),
        ({"limits": {"waking_hours": ["08:00", "21:00"]}}, None),
        ({"limits": {"waking_hours": [8, 21]}}, "written out"),
        ({"limits": {"digest_at": 18}}, "written out"),
        ({"how_did_it_go": {"stages": {"next_morning": {"at": 9}}}}, "written out"),
        ({"limits": {"digest_at": "18:00"}}, None),
        ({"limits": {"digest_at": "18:00+02:00"}}, None),
        ({"thank_you": {"stages": {"due": {"after": {"hours": 30}}}}}, "does not come after"),
        ({"thank_you": {"stages": {"due": {"before": {"hours": 3}}}}}, "not counted with `before`"),
        ({"thank_you": {"stages": {"sometime": {}}}}, "no stage sometime"),
        ({"thank_you": {"armed_by": ["interview.thanked"]}}, "armed_by"),
        ({"thanks": {}}, "no such policy"),
        ({"participant_stalled": {"enabled": False}}, "a seeker can't change"),
        ({"limits": {"cap_per_day": 0}}, "cap_per_day"),
        ({"limits": 7}, "limits"),
        ({"thank_you": "never"}, "thank_you"),
    ],
)
def test_overrides_of_a_seeker(overrides: dict[str, object], problem: str | None) -> None:
    """Given a seeker's overrides, when they are sound, no problem is found; else it is named, and were they in the log
    all the same, the policy would be as without them."""
    policies: Policies = default_policies()
    found = policies.problems(overrides)  # type: ignore[arg-type]
    assert (problem is None) == (not found)
    own = policies.of("tenant", json.dumps(overrides))
    if problem is not None:
        assert problem in found[0]
        assert own.by_name == policies.by_name
        assert own.limits == policies.limits


def test_what_was_accepted_before_it_was_refused_is_left_aside() -> None:
    """Given hours in the log that were given as numbers, which once passed for seconds after midnight, then the seeker
    has those of everybody, and is told what is left aside."""
    story = Story()
    story.prefers("2026-05-01T10:00+02:00", overrides={"limits": {"waking_hours": [8, 21]}})
    recipient = story.recipients[SEEKER]
    assert recipient.waking(recipient.policies(story.policies)) == waking((time(8), time(21)), None)
    assert {problem.split(":")[0] for problem in recipient.left_aside(story.policies)} == {
        "limits.waking_hours.0",
        "limits.waking_hours.1",
    }


@pytest.mark.parametrize("more", [{"cadence_days": 30}, {"stages": {"coach": {"enabled": False}}}, {"since": 2025}])
def test_what_a_seeker_has_switched_off_stays_so_whatever_else_is_left_aside(more: dict[str, Any]) -> None:
    """Given an override in the log of which not all goes with this release, then what is off in it is off; without
    that, all of it is left aside, and either way that is told."""
    for enabled in (False, True):
        story = Story()
        story.prefers("2026-05-01T10:00+02:00", overrides={"thank_you": {"enabled": enabled, **more}})
        recipient = story.recipients[SEEKER]
        assert recipient.policies(story.policies).by_name["thank_you"].enabled is enabled
        assert len(recipient.left_aside(story.policies)) == 1


def test_a_tenant_may_change_what_is_for_the_coach() -> None:
    policies = policies_with("[acme.thank_you.stages.coach]\nenabled = false")
    assert [stage.name for stage in policies.of("acme").by_name["thank_you"].stages if not stage.enabled] == ["coach"]


@pytest.mark.parametrize("text", ["policies = 3", "[policies]\nthank_you = 3"])
def test_policies_to_try_that_are_no_tables(text: str) -> None:
    with pytest.raises(PolicyError, match=r"policies: each stands in a table \[policies.<name>\]"):
        other_policies(text, default_policies())


def test_a_seeker_s_override_adds_to_the_tenant_s() -> None:
    policies = parse_policies(TEXT, {"tenant": {"thank_you": {"stages": {"due": {"after": {"hours": 3}}}}}})
    own = policies.of("tenant", json.dumps({"thank_you": {"stages": {"overdue": {"after": {"hours": 20}}}}}))
    stages = {stage.name: stage.span.hours for stage in own.by_name["thank_you"].stages}
    assert stages == {"due": 3, "overdue": 20, "last_call": 48, "coach": 72}
    assert policies.of("tenant", "{}") is policies.of("tenant", "{}")


def test_times_of_day_are_the_recipients_own() -> None:
    """Given times that were said with an offset, then they are those of the recipient's clock, as without."""
    said = {"digest_at": "18:00+02:00", "waking_hours": ["07:00Z", "21:00+01:00"]}
    stage = {"stages": {"next_morning": {"at": "08:30-05:00"}}}
    policies = default_policies().of("tenant", json.dumps({"limits": said, "how_did_it_go": stage}))
    assert policies.limits.digest_at == time(18, 0)
    assert policies.limits.waking_hours == (time(7, 0), time(21, 0))
    [at] = [each.at for each in policies.by_name["how_did_it_go"].stages if each.name == "next_morning"]
    assert at == time(8, 30)
