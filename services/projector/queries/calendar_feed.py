"""The agenda as an iCalendar feed (RFC 5545) that calendar programs subscribe to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, timedelta
from functools import cache
from hashlib import sha256
from hmac import compare_digest
from zoneinfo import ZoneInfo

from icalendar import Calendar, Event, Timezone, vDuration, vText

from services.projector.models.agenda import AppointmentRow
from services.projector.queries.answering import People
from shared.faults import form
from shared.zones import zone

REFRESH = timedelta(hours=1)
SECRET = form(r"^[A-Za-z0-9_-]{32,128}$", "the secret of the address: 32 to 128 letters, digits, _ and -")
"""What a feed's secret must look like: too long to be found by trying."""
FELL_THROUGH = {"cancelled": "Cancelled: ", "missed": "Missed: "}
"""What the summary of an appointment begins with that did not take place, by its status."""

_CONTROL = re.compile("[^\t\n\x20-\x7e\xa0-\U0010ffff]")
_ESCAPED = str.maketrans({"\\": r"\\", ";": r"\;", ",": r"\,", "\n": r"\n"})


class _Text(vText):
    """RFC 5545, 3.3.11. vText itself takes `\\N`, as people may write it, for the end of a line."""

    def to_ical(self) -> bytes:
        return self.translate(_ESCAPED).encode()


def opens(secret: str, feed_sha256: str | None) -> bool:
    """Whether the secret is the one whose digest was told when the feed was opened."""
    return feed_sha256 is not None and compare_digest(sha256(secret.encode()).hexdigest(), feed_sha256)


def calendar(seeker: str, time_zone: str, appointments: Sequence[AppointmentRow], people: People) -> bytes:
    """The feed. Cancelled appointments stay in it: of those some programs take out what they have, and others show the
    entry, some (Outlook) as if nothing were cancelled but for what the summary says."""
    feed = Calendar()
    feed.add("prodid", "-//Kithlog//Agenda//EN")
    feed.add("version", "2.0")
    feed.add("calscale", "GREGORIAN")
    for name in ("name", "x-wr-calname"):
        feed.add(name, _text(f"Conversations of {seeker}"))
    feed.add("refresh-interval", vDuration(REFRESH), parameters={"VALUE": "DURATION"})
    for appointment in appointments:
        feed.add_component(_entry(appointment, people))
    if not appointments:
        # RFC 5545 (3.4) wants at least one component, and some programs refuse a feed that has none.
        feed.add_component(_rules(zone(time_zone) or ZoneInfo("UTC")))
    return bytes(feed.to_ical())


@cache
def _rules(of: ZoneInfo) -> Timezone:
    """Kept: they are searched for day by day, which takes longer than all the rest. Feeds only read them."""
    return Timezone.from_tzinfo(of)


def _entry(row: AppointmentRow, people: People) -> Event:
    """Times are instants in UTC, which every program shows on its own wall clock: no zone's rules travel with them."""
    entry = Event()
    entry.add("uid", row.uid)
    entry.add("sequence", row.sequence)
    entry.add("dtstamp", row.changed_at.astimezone(UTC))
    entry.add("created", row.created_at.astimezone(UTC))
    entry.add("last-modified", row.changed_at.astimezone(UTC))
    entry.add("dtstart", row.starts_at.astimezone(UTC))
    entry.add("dtend", row.starts_at.astimezone(UTC) + timedelta(minutes=row.minutes))
    names = [person.name or "a contact" for person in people.all(row.contact_ids)]
    entry.add("summary", _text(f"{FELL_THROUGH.get(row.status, '')}Conversation with {', '.join(names)}"))
    entry.add("description", f"Informational interview, {row.format.replace('_', ' ')}, {row.minutes} minutes.")
    entry.add("status", "CANCELLED" if row.status == "cancelled" else "CONFIRMED")
    if row.status in FELL_THROUGH:
        entry.add("transp", "TRANSPARENT")  # nobody is busy then
    if row.place:
        entry.add("location", _text(row.place))
    return entry


def _text(written: str) -> _Text:
    """What people wrote, without the control characters that a calendar can't hold."""
    return _Text(_CONTROL.sub("", written))
