"""An office with a mail server of its own; and a channel to the broker, which the broker's own tests have already."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deploy.delivery.mailbox import Mailbox
from tests.broker.conftest import channel, connection
from tests.delivery.office import Office

__all__ = ["channel", "connection", "office"]


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    async with Mailbox().open() as mailbox:
        office = Office(tmp_path, mailbox)
        yield office
        office.ledger.close()
