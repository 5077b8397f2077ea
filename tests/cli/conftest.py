"""A terminal on a database of the test's own."""

from __future__ import annotations

import pytest

from tests.cli.terminal import Terminal


@pytest.fixture
def terminal(database_url: str) -> Terminal:
    return Terminal(database_url)
