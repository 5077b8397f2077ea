"""A terminal on a database of the test's own; what is folded for it is folded as in the projector's own tests."""

from __future__ import annotations

import pytest

from tests.cli.terminal import Terminal
from tests.projector.conftest import unhurried

__all__ = ["terminal", "unhurried"]


@pytest.fixture
def terminal(database_url: str) -> Terminal:
    return Terminal(database_url)
