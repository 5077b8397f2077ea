"""A stage on servers of the test's own, opened in the time zone where the story plays."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial

import pytest

from tests.projector.conftest import unhurried
from tests.scenarios.stage import Stage, staged

__all__ = ["stage", "unhurried"]

Open = Callable[[str, str], AbstractAsyncContextManager[Stage]]


@pytest.fixture
def stage(database_url: str, amqp_url: str) -> Open:
    """`async with stage("Europe/Berlin", "2026-01-12 09:00") as story: ...`"""
    return partial(staged, database_url, amqp_url)
