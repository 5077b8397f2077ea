"""The service and its queue."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from deploy.delivery.post import Post
from deploy.delivery.service import run
from deploy.delivery.settings import DeliverySettings, Services
from shared.client import Consumer, Rules, Wiring
from tests.delivery.office import (
    Office,
    a_due,
)


async def test_a_kind_without_words_is_parked(office: Office) -> None:
    trial = await office.take(a_due(kind="invented"), a_due(2))
    assert [each.reason for each in trial.parked] == ["no_words"]
    await office.work()
    assert len(office.mailbox.mails) == 1


async def test_services_for_different_tenants_share_no_queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given two on one broker, then neither takes what is the other's; each begins where it is told to."""
    queues, begins = list[str](), list[str]()

    class Noting(Consumer[None]):
        def __init__(self, wiring: Wiring, rules: Rules, *others: Any) -> None:
            queues.append(wiring.queue)
            begins.append(rules.begin)
            super().__init__(wiring, rules, *others)

    monkeypatch.setattr("deploy.delivery.service.Consumer", Noting)
    stop = asyncio.Event()
    stop.set()
    for tenant in ("acme", "demo", "*"):
        await run(Services(), DeliverySettings(state=tmp_path, tenant=tenant), Post("127.0.0.1", 1), stop)
    await run(Services(), DeliverySettings(state=tmp_path), Post("127.0.0.1", 1), stop, begin="first")
    assert queues == ["kithlog.delivery.acme", "kithlog.delivery.demo", "kithlog.delivery", "kithlog.delivery"]
    assert begins == ["now", "now", "now", "first"]
