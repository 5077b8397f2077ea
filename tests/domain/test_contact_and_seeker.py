"""Contacts and seekers, each on their own stream."""

from __future__ import annotations

import json
import re

import pytest
from pydantic import ValidationError

from shared.domain import contact, relationship, seeker
from shared.domain.kernel import Command
from tests.domain.scenario import ADDED, ANA, BEN, CLEO, PEOPLE, REGISTERED, SEEKER, given


def test_contact_added() -> None:
    """Given nobody, when a contact is added, then there is one; a second time it is refused."""
    command = contact.Add(name="Ana Reis", source="alumni_network")
    given().when(command).then(ADDED)
    given(ADDED).when(command).refused("already_exists")


def test_contact_added_by_a_seeker_carries_the_whole_chain() -> None:
    """Given that Ben led to Ana, when Cleo comes through Ana, then both are remembered, nearest first."""
    ana = ADDED.model_copy(update={"seeker_id": SEEKER, "introduced_by": (BEN,)})
    command = contact.Add(name="Cleo", source="referral", seeker_id=SEEKER, introduced_by=ANA)
    added = contact.Added(name="Cleo", source="referral", seeker_id=SEEKER, introduced_by=(ANA, BEN))
    given(REGISTERED, ana).when(command, id=CLEO).then(added)


def test_an_introduction_counts_before_what_was_said_on_adding() -> None:
    """Given that Ana was introduced by Ben, when she leads to Cleo, then the chain is that of the introduction."""
    made = relationship.IntroductionMade(seeker_id=SEEKER, contact_id=ANA, connector_id=BEN, introduced_by=(BEN,))
    command = contact.Add(name="Cleo", source="referral", seeker_id=SEEKER, introduced_by=ANA)
    added = contact.Added(name="Cleo", source="referral", seeker_id=SEEKER, introduced_by=(ANA, BEN))
    given(*PEOPLE, made).when(command, id=CLEO).then(added)


def test_how_another_seeker_came_to_a_contact_is_another_story() -> None:
    """Given that Ana is the tenant's own contact, when she leads to Cleo, then the chain ends with her."""
    ana = ADDED.model_copy(update={"introduced_by": (BEN,)})
    command = contact.Add(name="Cleo", source="referral", seeker_id=SEEKER, introduced_by=ANA)
    added = contact.Added(name="Cleo", source="referral", seeker_id=SEEKER, introduced_by=(ANA,))
    given(REGISTERED, ana).when(command, id=CLEO).then(added)


def test_introducer_must_be_known_and_another() -> None:
    """Given an introducer who is not there, or the contact themselves, then adding is refused."""
    command = contact.Add(name="Cleo", source="referral", introduced_by=ANA)
    given().when(command, id=CLEO).refused("unknown_contact", field="/introduced_by")
    given().when(command, id=ANA).refused("own_introducer")


def test_offering_hours_revokes_the_wish_for_peace() -> None:
    """Given a contact who wished for peace, when they offer hours, then they may be asked again."""
    offer = contact.OfferHours(capacity=2, formats=("coffee",))
    offered = contact.HoursOffered(capacity=2, formats=("coffee",))
    given(ADDED, contact.AskedNotToBeContacted()).when(offer).then(offered)
    state = contact.DECIDER.fold([ADDED, contact.AskedNotToBeContacted(), offered])
    assert state is not None
    assert (state.status, state.capacity) == ("reachable", 2)


UNSOUND = [
    ({"overrides": {"thank_yuo": {"enabled": False}}}, "/overrides/thank_yuo", "no such policy"),
    ({"overrides": {"thank_you": {"stages": {"du": {"after": {"hours": 3}}}}}}, "/overrides/thank_you", "no stage du"),
    ({"overrides": {"thank_you": {"stages": {"due": {"then": {"hours": 3}}}}}}, "/overrides/thank_you", "then"),
    ({"overrides": {"thank_you": {"after": 3}}}, "/overrides/thank_you", '"stages": {"due": {"after": {"hours": 3}}}'),
    ({"overrides": {"participant_stalled": {"enabled": False}}}, "/overrides/participant_stalled", "can't change"),
    ({"overrides": {"thank_you": {"stages": {"coach": {"enabled": False}}}}}, "/overrides/thank_you", "for the coach"),
    ({"overrides": {"limits": {"waking_hours": [8, 21]}}}, "/overrides/limits", "written out"),
    ({"muted": ["connect", "thank_yuo"]}, "/muted/1", "thank_yuo"),
]


@pytest.mark.parametrize(("preferences", "field", "why"), UNSOUND)
def test_preferences_that_would_have_no_effect_are_refused(preferences: object, field: str, why: str) -> None:
    """Given a preference for what there is not, then it is refused, naming the culprit and what there is."""
    command = seeker.ChangePreferences.model_validate(preferences)
    refusal = given(REGISTERED).when(command).refused("unsound_override", field=field)
    assert why in refusal.detail
    assert "thank_you" in refusal.remedy


def test_sound_preferences() -> None:
    """Given lead times within their bounds, then they are the seeker's from now on."""
    sound = {"overrides": {"thank_you": {"stages": {"due": {"after": {"hours": 3}}}}}, "muted": ["connect"]}
    command = seeker.ChangePreferences.model_validate(sound)
    given(REGISTERED).when(command).then(seeker.PreferencesChanged.model_validate(sound))


def test_the_example_of_overrides_is_sound() -> None:
    """Given what the published description of overrides shows, then it is taken."""
    description = seeker.ChangePreferences.model_fields["overrides"].description
    [example] = re.findall(r"`(\{.+\})`", description or "")
    shown = {"overrides": json.loads(example)}
    command = seeker.ChangePreferences.model_validate(shown)
    given(REGISTERED).when(command).then(seeker.PreferencesChanged.model_validate(shown))


def test_what_is_forgotten_stays_forgotten() -> None:
    """Given a forgotten contact, when something is recorded about them, then it is refused."""
    gone = given(ADDED, contact.Forgotten())
    gone.when(contact.CorrectDetails(name="Ana")).refused("out_of_order")
    gone.when(contact.Forget()).refused("already_done")
    gone.when(contact.OfferHours(capacity=1)).refused("out_of_order")


@pytest.mark.parametrize(
    ("command", "name", "email"),
    [
        (seeker.CorrectDetails(name="Mona Quist-Reis"), "Mona Quist-Reis", "mona@example.org"),
        (seeker.CorrectDetails(email="quist@example.org"), "Mona Quist", "quist@example.org"),
        (seeker.CorrectDetails(email=""), "Mona Quist", None),
    ],
)
def test_what_is_not_corrected_stays_as_it_was(command: seeker.CorrectDetails, name: str, email: str | None) -> None:
    """Given a seeker with an address, when a detail is corrected, then what is recorded is complete, with the other
    as it was; only an empty address takes the address away."""
    known = REGISTERED.model_copy(update={"email": "mona@example.org"})
    corrected = seeker.DetailsCorrected(name=name, email=email)
    given(known).when(command).then(corrected)
    given(REGISTERED, seeker.DetailsCorrected(name=known.name, email=known.email)).when(command).then(corrected)


TAKEN_BACK = ("email", "phone", "profile_url", "employer", "position", "time_zone")


@pytest.mark.parametrize("detail", TAKEN_BACK)
def test_what_is_wrong_about_a_contact_is_taken_back(detail: str) -> None:
    """Given a contact, when a detail is corrected to nothing, then it is recorded as taken back, and all else stays."""
    command = contact.CorrectDetails.model_validate({detail: "", "fields": ["Law"]})
    given(ADDED).when(command).then(contact.DetailsCorrected(fields=("Law",), taken_back=(detail,)))


def test_every_detail_of_a_contact_may_be_taken_back() -> None:
    """Given what may be said of a contact, then each is taken back with an empty text or list, but for the name."""
    assert {*TAKEN_BACK, "fields"} == set(contact.Person.model_fields)
    given(ADDED).when(contact.CorrectDetails(fields=())).then(contact.DetailsCorrected(fields=()))
    with pytest.raises(ValidationError, match="name"):
        contact.CorrectDetails(name="")


def test_a_contact_is_where_they_were_said_to_be_last() -> None:
    """Given a contact's time zone, when it is replaced, left as it is, and taken back, then their months begin there,
    and in the end as for one who has none."""
    told: list[contact.DetailsCorrected] = [
        contact.DetailsCorrected(time_zone="Pacific/Kiritimati"),
        contact.DetailsCorrected(employer="Nobre"),
        contact.DetailsCorrected(taken_back=("time_zone",)),
    ]
    states = [contact.DECIDER.fold([ADDED, *told[:count]]) for count in range(4)]
    zones = [state.time_zone for state in states if state]
    assert zones == [None, "Pacific/Kiritimati", "Pacific/Kiritimati", None]


@pytest.mark.parametrize("correction", [contact.CorrectDetails, seeker.CorrectDetails])
def test_what_is_wrong_with_a_correction_is_said_of_its_field(correction: type[Command]) -> None:
    """Given an address that is none, when it is to be corrected, then one thing is wrong: the address."""
    with pytest.raises(ValidationError) as invalid:
        correction.model_validate({"email": "ana"})
    assert [error["loc"] for error in invalid.value.errors()] == [("email",)]


def test_a_correction_corrects_something() -> None:
    """Given a correction without any detail, then it is refused."""
    given(REGISTERED).when(seeker.CorrectDetails()).refused("nothing_changes")


def test_changes_that_change_nothing() -> None:
    """Given a contact and a seeker, when a command would change nothing, then it is refused."""
    given(ADDED).when(contact.CorrectDetails()).refused("nothing_changes")
    given(ADDED).when(contact.ChangeCapacity(capacity=None)).refused("nothing_changes")
    given(ADDED).when(contact.ChangeCapacity(capacity=0)).then(contact.CapacityChanged(capacity=0))
    given(REGISTERED).when(seeker.ChangePreferences()).refused("nothing_changes")
    given(REGISTERED).when(seeker.Relocate(time_zone="Europe/Lisbon")).refused("nothing_changes")


def test_moving_keeps_what_is_not_said() -> None:
    """Given a seeker in Portugal, when they move zone, then the event tells the country and language as well."""
    moved = seeker.Moved(time_zone="Asia/Kolkata", country="PT")
    given(REGISTERED).when(seeker.Relocate(time_zone="Asia/Kolkata")).then(moved)


def test_time_zones_must_be_known() -> None:
    """Given a zone that does not exist, then the command is invalid, and reading an old event is not."""
    for zone in ("Europe/Atlantis", "../etc/passwd", "Europe"):
        with pytest.raises(ValidationError, match="time_zone"):
            seeker.Relocate(time_zone=zone)
    assert seeker.Moved(time_zone="Europe/Atlantis").time_zone == "Europe/Atlantis"


def test_outcome_may_come_after_leaving() -> None:
    """Given a seeker who left, when a job was found through Ana, then it is recorded; a goal is not."""
    left = seeker.Left()
    outcome = {"kind": "found_job", "through_contact_id": ANA}
    given(*PEOPLE, left).when(seeker.RecordOutcome.model_validate(outcome)).then(
        seeker.OutcomeRecorded.model_validate(outcome)
    )
    given(REGISTERED, left).when(seeker.RecordOutcome.model_validate(outcome)).refused("unknown_contact")
    given(REGISTERED, left).when(seeker.ChangeGoals(goal="Rest")).refused("out_of_order")


def test_who_left_may_return() -> None:
    """Given a seeker who left, when they return, then they go on under their id, with their contacts; who is here may
    not."""
    left, returned = seeker.Left(), seeker.Returned()
    given(REGISTERED, left).when(seeker.Return()).then(returned)
    pair = {"seeker_id": SEEKER, "contact_id": ANA}
    asked = relationship.ReferralAsked.model_validate(pair)
    given(*PEOPLE, left, returned).when(relationship.AskReferral.model_validate(pair)).then(asked)
    given(REGISTERED).when(seeker.Return()).refused("already_done")
    given(REGISTERED, left, returned).when(seeker.Return()).refused("already_done")


def test_first_move_is_the_introduction() -> None:
    """Given a new seeker, then the introduction is to be written; once it is, nothing is asked of them."""
    written = seeker.IntroductionWritten(text="I am …")
    before, after = seeker.DECIDER.fold([REGISTERED]), seeker.DECIDER.fold([REGISTERED, written])
    assert before is not None
    assert after is not None
    assert seeker.next_move(before) == "write_introduction"
    assert seeker.next_move(after) is None


@pytest.mark.parametrize(
    "value", ["nul \x00", "lone \ud800", "x" * 10_001, float("nan"), {"deep": ["nul \x00"]}, {"nul \x00": 1}]
)
def test_settings_that_the_log_could_not_hold(value: object) -> None:
    """Given settings with NUL, a lone surrogate or too much, however deep, then the body is invalid."""
    with pytest.raises(ValidationError, match="overrides"):
        seeker.ChangePreferences.model_validate({"overrides": {"thank_you": {"stages": value}}})


def test_settings_of_any_language() -> None:
    """Given settings with letters beyond the first plane, then they are taken."""
    command = seeker.ChangePreferences.model_validate({"overrides": {"thank_you": {"title": "🌱 спасибо"}}})
    assert command.overrides == {"thank_you": {"title": "🌱 спасибо"}}


HOSTILE = ["nul \x00", "lone \ud800", "x" * 20_001, ""]


@pytest.mark.parametrize("text", HOSTILE)
def test_texts_that_the_log_could_not_hold(text: str) -> None:
    """Given NUL, a lone surrogate, too much or nothing, then the body is invalid."""
    with pytest.raises(ValidationError, match="text"):
        seeker.WriteIntroduction(text=text)
