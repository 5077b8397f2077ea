"""Ids that follow from others."""

from __future__ import annotations

from uuid import UUID, uuid5

from hypothesis import given
from hypothesis import strategies as st

from shared.command_envelope import CommandEnvelope
from shared.domain import identity
from shared.domain.identity import event_id, notification_id, relationship_id


@given(st.uuids(), st.integers(0, 100))
def test_an_events_id_is_the_standard_name_based_one(command: UUID, ordinal: int) -> None:
    assert event_id(command, ordinal) == uuid5(command, str(ordinal))


@given(st.uuids(), st.uuids())
def test_a_relationships_id_is_the_standard_name_based_one(seeker: UUID, contact: UUID) -> None:
    assert relationship_id(seeker, contact) == uuid5(identity._RELATIONSHIP, f"{seeker}:{contact}")
    assert f"`{identity._RELATIONSHIP}`" in str(CommandEnvelope.model_fields["id"].description)  # as callers are told


@given(st.uuids(), st.uuids(), st.sampled_from(["first", "again"]))
def test_a_notifications_id_is_the_standard_name_based_one(subject: UUID, occurrence: UUID, stage: str) -> None:
    name = f"thank_you:{subject}:{occurrence}:{stage}"
    assert notification_id("thank_you", subject, occurrence, stage) == uuid5(identity._NOTIFICATION, name)
