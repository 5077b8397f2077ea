"""How many events a page has, by how long the pages before took."""

from __future__ import annotations

from services.projector.live.pace import LEAST, SECONDS, Pace


def test_where_a_page_is_soon_through_it_stays_as_it_is() -> None:
    pace = Pace(2000)
    pace.took(2000, SECONDS / 2)
    assert pace.page == 2000


def test_where_all_is_slow_a_page_is_as_long_as_is_through_in_time() -> None:
    """Given a page that took twice as long as it is to, then the next has half of its events; and all of them once that
    is through in no time."""
    pace = Pace(2000)
    pace.took(2000, 2 * SECONDS)
    assert pace.page == 1000
    pace.took(1000, SECONDS / 100)
    assert pace.page == 2000


def test_one_that_bytes_have_cut_short_tells_as_well() -> None:
    pace = Pace(2000)
    pace.took(1500, 2 * SECONDS)
    assert pace.page == 750


def test_a_short_one_tells_nothing() -> None:
    pace = Pace(2000)
    pace.took(LEAST - 1, 100 * SECONDS)
    assert pace.page == 2000


def test_there_is_a_least_and_a_most() -> None:
    pace = Pace(2000)
    pace.took(2000, 1000 * SECONDS)
    assert pace.page == LEAST
    pace = Pace(10)
    pace.took(LEAST, 1000 * SECONDS)
    assert pace.page == 10


def test_what_failed_is_tried_in_halves() -> None:
    pace = Pace(2000)
    pace.failed()
    assert pace.page == 1000
