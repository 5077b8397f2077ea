"""The client of the history feed."""

from __future__ import annotations

import httpx
import pytest

from shared.client import (
    Forked,
    HttpHistory,
    Patterns,
    Unavailable,
)


async def test_a_feed_that_is_none_is_waited_for() -> None:
    """Given something in the feed's place that answers to everything, then the history is away."""
    transport = httpx.MockTransport(lambda request: httpx.Response(200, text="<html>Please log in</html>"))
    async with HttpHistory("http://queries", transport=transport) as history:
        with pytest.raises(Unavailable, match="kithlog-position"):
            await history.page(0)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(409, json={"code": "forked", "position": 2}), Forked),
        (httpx.Response(409, json={"code": "conflict"}), Unavailable),
        (httpx.Response(409, text="Conflict"), Unavailable),
        (httpx.Response(409, json=["forked"]), Unavailable),
    ],
    ids=lambda each: getattr(each, "text", None),
)
async def test_only_the_feed_itself_says_that_the_log_was_restored(
    answer: httpx.Response, error: type[Exception]
) -> None:
    """Given a refusal that is a proxy's, then the history is away, and nothing is taken for lost."""
    async with HttpHistory("http://queries", transport=httpx.MockTransport(lambda request: answer)) as history:
        with pytest.raises(error):
            await history.page(7)


async def test_a_feed_that_does_not_know_a_type_is_asked_for_all() -> None:
    """Given a projector of a release that has no such type, then what it has of the others is read all the same."""
    told = {"kithlog-position": "7", "kithlog-head": "7", "kithlog-epoch": "1", "kithlog-time": "2026-03-02T12:00:00Z"}

    def answer(request: httpx.Request) -> httpx.Response:
        known = "interview.praised" not in request.url.params.get("types", "")
        return httpx.Response(200, headers=told) if known else httpx.Response(422, json={"code": "invalid_input"})

    async with HttpHistory("http://queries", transport=httpx.MockTransport(answer)) as history:
        wanted = Patterns(("demo.interview.held", "demo.interview.praised"))
        assert (await history.page(0, wanted=wanted)).position == 7


def test_patterns_ask_the_history_for_no_less_than_they_match() -> None:
    patterns = Patterns(("demo.notification.due", "demo.interview.*"))
    assert (patterns.tenant, patterns.types) == ("demo", ("interview.*", "notification.due"))
    assert [patterns.match(key) for key in ("demo.interview.held", "demo.lead.recorded", "acme.interview.held")] == [
        True,
        False,
        False,
    ]
    assert (Patterns(("demo.#",)).tenant, Patterns(("demo.#",)).types) == ("demo", None)
    assert (Patterns(("#.held", "demo.*.held")).tenant, Patterns(("*.*.held",)).types) == (None, None)
    with pytest.raises(ValueError, match="not patterns"):
        Patterns(("demo..held",))
