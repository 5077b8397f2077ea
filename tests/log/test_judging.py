"""Each append of a batch is judged on its own, as if they came one by one."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.kernel import Stream
from shared.log import Append, KeyReused, Pending, WrongVersion
from shared.log.appending import Receipt
from shared.log.judging import judge

AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
A, B, C = Stream("interview", UUID(int=1)), Stream("contact", UUID(int=2)), Stream("lead", UUID(int=3))


def append(command: int, expected: dict[Stream, int], *, print: bytes = b"p", writes: int = 1) -> Append:
    events = [Pending(stream, "interview.held", 1, b"{}") for stream in expected for _ in range(writes)]
    return Append("acme", UUID(int=command), events, expected, AT, UUID(int=9), UUID(int=9), fingerprint=print)


def test_two_appends_to_one_version_are_told_apart() -> None:
    """Given two appends that expect the same version, then the first is accepted and the second refused."""
    verdicts = judge([append(1, {A: 3}), append(2, {A: 3})], {}, {})
    assert verdicts.accepted == [0]
    assert isinstance(verdicts.refused[1], WrongVersion)
    assert verdicts.refused[1].actual == 4


def test_a_chain_on_one_stream_is_accepted() -> None:
    verdicts = judge([append(1, {A: 0}, writes=2), append(2, {A: 2})], {}, {})
    assert verdicts.accepted == [0, 1]
    assert verdicts.checks == {("acme", A.id): 0}


def test_dependents_of_a_refused_append_are_refused() -> None:
    """Given that the database says the stream is at 5, then the append expecting 3 and the one after it both fail."""
    verdicts = judge([append(1, {A: 3}), append(2, {A: 4})], {("acme", A.id): 5}, {})
    assert verdicts.accepted == []
    assert [error.actual for error in verdicts.refused.values() if isinstance(error, WrongVersion)] == [5, 5]


def test_a_refused_append_refuses_no_other_by_its_assumptions() -> None:
    """Given one that is refused for one stream, then its guess about another stream binds nobody."""
    both, other = append(1, {B: 3, A: 3}), append(2, {B: 4})
    verdicts = judge([both, other], {("acme", A.id): 5}, {})
    assert verdicts.accepted == [1]
    assert verdicts.checks == {("acme", B.id): 4}


def test_an_id_is_one_stream_s() -> None:
    """Given an append that expects two streams with one id at two versions, in whatever order, then one of them can't
    be so, and it is refused, and refuses no other by its assumptions."""
    namesake = Stream("seeker", A.id)
    verdicts = judge([append(1, {A: 0, namesake: 1}), append(2, {namesake: 1, A: 0}), append(3, {A: 0})], {}, {})
    assert verdicts.accepted == [2]
    assert verdicts.checks == {("acme", A.id): 0}


def test_a_repeat_is_known_by_receipt_or_within_the_batch() -> None:
    receipt = Receipt(b"p", 7, 1, AT)
    verdicts = judge([append(1, {A: 0}), append(2, {B: 0}), append(2, {B: 0})], {}, {("acme", UUID(int=1)): receipt})
    assert verdicts.known == {0: receipt}
    assert verdicts.accepted == [1]
    assert verdicts.twins == {2: 1}


def test_a_command_id_with_other_content_is_refused() -> None:
    receipt = Receipt(b"other", 7, 1, AT)
    verdicts = judge(
        [append(1, {A: 0}), append(2, {B: 0}), append(2, {B: 1}, print=b"q")],
        {},
        {("acme", UUID(int=1)): receipt},
    )
    assert verdicts.accepted == [1]
    assert isinstance(verdicts.refused[0], KeyReused)
    assert isinstance(verdicts.refused[2], KeyReused)


def test_what_rests_on_a_fallen_append_falls_with_it() -> None:
    """Given a chain decided together, when another writer has taken the version that its first append expected, then
    the second falls, too, though the stream happens to have the version that it expects."""
    chain = [append(1, {A: 1}), append(2, {A: 2})]
    known = {("acme", A.id): 2}
    assert judge(chain, known, {}, groups=[0, 0]).accepted == []
    assert judge(chain, known, {}, groups=[0, 1]).accepted == [1]


def test_nothing_overtakes_what_falls() -> None:
    """Given a chain of which the second falls, then what is before it is written, and nothing behind it that was
    decided with it, whatever it is about: the second is decided again, and may have to come before."""
    chain = [append(1, {B: 0}), append(2, {A: 1}), append(3, {C: 0}), append(4, {B: 1})]
    verdicts = judge(chain, {("acme", A.id): 2}, {}, groups=[0, 0, 0, 1])
    assert verdicts.accepted == [0, 3]
    assert [type(verdicts.refused[index]) for index in (1, 2)] == [WrongVersion, WrongVersion]


def test_what_rests_on_a_repeat_falls() -> None:
    """Given a chain whose first command was answered meanwhile, then what was decided on deciding it again falls."""
    receipt = Receipt(b"p", 7, 1, AT)
    chain = [append(1, {A: 1}), append(2, {A: 2})]
    verdicts = judge(chain, {("acme", A.id): 2}, {("acme", UUID(int=1)): receipt}, groups=[0, 0])
    assert verdicts.known == {0: receipt}
    assert verdicts.accepted == []


@settings(max_examples=200)
@given(
    st.lists(
        st.dictionaries(st.integers(1, 3), st.integers(0, 3), min_size=1, max_size=2),
        min_size=1,
        max_size=12,
    ),
    st.dictionaries(st.integers(1, 3), st.integers(0, 3)),
)
def test_a_batch_is_judged_as_its_appends_one_by_one(plans: list[dict[int, int]], start: dict[int, int]) -> None:
    """Law: with all versions known, exactly those are accepted that a sequential run would accept."""
    streams = {n: Stream("interview", UUID(int=n)) for n in (1, 2, 3)}
    appends = [append(n, {streams[s]: v for s, v in plan.items()}) for n, plan in enumerate(plans, 1)]
    now = {n: start.get(n, 0) for n in streams}
    expected = []
    for index, plan in enumerate(plans):
        if all(now[s] == v for s, v in plan.items()):
            expected.append(index)
            for s in plan:
                now[s] += 1
    versions = {("acme", streams[n].id): start.get(n, 0) for n in streams}
    assert judge(appends, versions, {}).accepted == expected
