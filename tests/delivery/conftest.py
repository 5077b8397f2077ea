"""A channel to the broker, which the broker's own tests have already."""

from tests.broker.conftest import channel, connection

__all__ = ["channel", "connection"]
