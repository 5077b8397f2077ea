"""Fixtures that the tests of broker and history feed have already."""

from tests.broker.conftest import channel, connection, safe_broker
from tests.contract.conftest import append, feed, feed_url, log

__all__ = ["append", "channel", "connection", "feed", "feed_url", "log", "safe_broker"]
