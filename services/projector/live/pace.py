"""How many events are folded at a time: as many as are through in a second or two.

A page keeps the process from everything else while it is folded, and the checkpoint moves once with it. Where all is
slow, one of the usual size takes longer than another projector waits that sees it stand still: both fold the same page
then, and are slower still.
"""

from __future__ import annotations

SECONDS = 2.0
"""From when a page begins to be folded until it is written: twice as long as from one to the next, for one is written
while the next is folded."""
LEAST = 500
"""Events: a tenth of a second where all is well, two where it is as slow as was ever seen. With fewer, most of the time
may be that of any page, however short."""


class Pace:
    """Of one projector; it outlasts the sessions that fail."""

    def __init__(self, most: int) -> None:
        """`most`: events in a page."""
        self._most = self.page = most

    def took(self, events: int, seconds: float) -> None:
        """A page was through after so many seconds. Of a short one that tells nothing."""
        if events >= LEAST:
            self._aim(events * SECONDS / max(seconds, 1e-6))

    def failed(self) -> None:
        """One may have been too much to be written in the time that there is."""
        self._aim(self.page / 2)

    def _aim(self, events: float) -> None:
        self.page = min(self._most, max(LEAST, int(events)))
