"""Which commands are the same, across releases and channels, and what a repetition is answered."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.command import executor as module
from services.command.executor import Executor, fingerprint
from shared.domain.catalogue import DECIDERS
from shared.domain.seeker import Register
from shared.log import KeyReused, Log
from tests.command.client import ADD, ANA, INTERVIEW, REGISTER, REQUEST, SEEKER
from tests.command.conftest import FixedClock
from tests.command.test_executor import envelope, opened, register, verdict


@pytest.fixture
async def log(database_url: str) -> AsyncIterator[Log]:
    async with opened(database_url, 1) as [log]:
        yield log


@pytest.fixture
def executor(log: Log) -> Executor:
    return Executor(log, DECIDERS, FixedClock())


@pytest.mark.parametrize(
    ("command", "id", "data", "digest"),
    [
        ("seeker.register", SEEKER, REGISTER, "e089927474ff274ed7143e5ff1eebab3"),
        ("seeker.register", SEEKER, {**REGISTER, "stage": "graduate"}, "d6d7a39d81d06e78a6d326bb058412a7"),
        ("contact.add", ANA, ADD, "e35a435a4d83307792f5b4f8eec6d6d3"),
        ("interview.send_request", INTERVIEW, REQUEST, "8e30a57299ee952029f9bb1666e6d318"),
        ("interview.accept", INTERVIEW, {}, "777e43aa53b77b224dc9bf6870bd8be8"),
    ],
)
def test_what_identifies_a_command_stays_what_it_is(command: str, id: Any, data: dict[str, Any], digest: str) -> None:
    """Given a receipt of an earlier release, then this one finds that it is of the same command: a digest that changes
    here would have repetitions across the upgrade refused as `key_reused`."""
    assert fingerprint(envelope(command, id, data, number=1)).hex() == digest


def test_an_optional_field_that_is_new_leaves_a_command_the_same() -> None:
    """Given a release that adds an optional field to a command, then the command without it is the same as before, and
    sent with null, too; with a value it is another."""

    class Newer(Register):
        pronouns: str | None = None

    before = register()
    for data, same in (
        (REGISTER, True),
        ({**REGISTER, "pronouns": None}, True),
        ({**REGISTER, "pronouns": "x"}, False),
    ):
        after = before.model_copy(update={"data": Newer.model_validate_json(json.dumps(data))})
        assert (fingerprint(after) == fingerprint(before)) == same


async def test_a_receipt_of_before_defaults_were_left_out_is_known(
    log: Log, executor: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a command that was executed when its defaults counted, when it is repeated, alone or among others, then it
    gets its first answer; other content with its key is still told so."""

    def with_defaults(envelope: Any) -> bytes:
        return module._digest(envelope, envelope.data.model_dump_json())

    with monkeypatch.context() as earlier:
        earlier.setattr(module, "fingerprint", with_defaults)
        first = await executor.execute(register())
    assert with_defaults(register()) != fingerprint(register())
    later = Executor(log, DECIDERS, FixedClock())
    alone = await later.execute(register())
    _, among, reused = await later.execute_all(
        [verdict(2), register(), envelope("seeker.register", SEEKER, {**REGISTER, "name": "Other"}, number=1)]
    )
    assert [alone.events, getattr(among, "events", among)] == [first.events] * 2
    assert alone.repeated
    assert isinstance(reused, KeyReused)
