"""Fields as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.fields import Common, common, fit


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("marketing", "Marketing", "exact"),
        ("Art history", "History of Art", "exact"),
        ("R&D", "r & d", "exact"),
        ("Research and development", "development / research", "exact"),
        ("Straßenbau", "STRASSENBAU", "exact"),
        ("ＤＡＴＡ", "data", "exact"),
        ("看護", "看護", "exact"),
        ("…", "…", "exact"),
        ("Marketing", "Digital marketing", "related"),
        ("Data analysis", "Data entry", None),
        ("C++", "C", None),
        ("Art", "Martial law", None),
        ("The", "Law", None),
        ("…", "Law", None),
    ],
)
def test_how_two_fields_fit(one: str, other: str, expected: str | None) -> None:
    """Given two names of fields, then case, order and punctuation don't part them, and a shared word is no match."""
    assert fit(one, other) == fit(other, one) == expected


def test_the_best_that_two_have_in_common() -> None:
    """Given what is wanted and what is offered, then an exact fit comes before a related one, then the first wanted."""
    offered = ["Digital marketing", "Public law", "publishing"]
    assert common(["Marketing", "Publishing"], offered) == Common("Publishing", "publishing", "exact")
    assert common(["Law", "Marketing"], offered) == Common("Law", "Public law", "related")
    assert common(["Nursing"], offered) is common([], offered) is common(["Nursing"], []) is None


@given(st.text(min_size=1), st.text(min_size=1))
def test_any_text_can_be_compared(one: str, other: str) -> None:
    """Given any two texts, then each fits itself, and the fit is the same either way round."""
    assert fit(one, one) == "exact"
    assert fit(one, other) == fit(other, one)
