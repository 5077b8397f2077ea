"""What the launcher says when it cannot go on."""

from __future__ import annotations


class LaunchFailure(Exception):
    """Something did not come up. The message is for the person at the terminal: what failed, what helps."""
