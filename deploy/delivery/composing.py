"""Makes a mail of one notification, or of several for the same person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from typing import Any
from uuid import UUID

import idna

from deploy.delivery.notification import Notification
from deploy.delivery.platform import Platform
from deploy.delivery.settings import DeliverySettings
from deploy.delivery.wording import Piece, mail, piece, thanks, wording, write
from shared.zones import zone

_FORGOTTEN = "(forgotten)"
"""What the query API tells in place of a text about somebody who was forgotten."""


class Left(Exception):
    """The seeker is not here any more, and is told nothing."""


class Undeliverable(Exception):
    """There is nobody to send it to. `permanent`: and trying again won't help."""

    def __init__(self, why: str, *, permanent: bool) -> None:
        super().__init__(why)
        self.permanent = permanent


class Composer:
    """Asks the query API for names and notes: the events carry none."""

    def __init__(self, platform: Platform, settings: DeliverySettings) -> None:
        self._platform, self._settings = platform, settings

    async def compose(self, notifications: Sequence[Notification], id: str) -> EmailMessage:
        """One mail; `id` becomes part of its `Message-ID`. They are of one group, hence for one person.

        Raises `Left`, `Undeliverable`, `Unavailable`.
        """
        first = notifications[0]
        seeker = await self._seeker(first)
        if seeker.get("left_at") and first.due.recipient.role == "seeker":
            raise Left
        to = await self._address(first, seeker)
        pieces = [await self._piece(each) for each in notifications]
        greeting = f"Dear {_named(seeker)}," if first.due.recipient.role == "seeker" else "Dear coach,"
        return mail(
            write(greeting, pieces),
            id,
            sender=self._settings.sender,
            domain=self._settings.domain,
            to=to,
            at=first.recorded_at,
        )

    async def _piece(self, notification: Notification) -> Piece:
        due, tenant = notification.due, notification.tenant
        words = wording(due.kind, due.stage)
        if words is None:
            raise LookupError(f"there are no words for {due.kind}/{due.stage}")
        names = await self._platform.contact_names(tenant, due.contact_ids)
        interview: Mapping[str, Any] = {}
        if due.interview_id is not None:
            interview = await self._platform.interview(tenant, due.interview_id)
        lead: Mapping[str, Any] = {}
        if due.lead_id is not None:
            lead = await self._platform.lead(tenant, due.lead_id)
        seeker = await self._seeker(notification)
        values = {
            "seeker": _named(seeker),
            "contacts": _listed(names) or "your contact",
            "met": _listed([each["name"] for each in interview.get("contacts", ()) if each["name"]]) or "somebody new",
            "lead": _briefly(lead),
            "about": str(interview.get("about") or "their work"),
            "when": _when(interview, str(seeker.get("time_zone"))),
        }
        if "{draft}" in words["text"]:
            values["draft"] = thanks(await self._noted(notification), values)
        return piece(words, values)

    async def _seeker(self, notification: Notification) -> Mapping[str, Any]:
        return await self._platform.seeker(notification.tenant, notification.due.seeker_id, notification.position)

    async def _noted(self, notification: Notification) -> str | None:
        """The most telling thing that was noted: a piece of advice, a point, or the beginning of the text."""
        due = notification.due
        if due.interview_id is None:
            return None
        for noted in await self._platform.noted(notification.tenant, due.seeker_id, due.interview_id):
            found = [each["text"] for each in noted["advice"]] or noted["points"] or [noted["text"] or ""]
            said = " ".join(str(found[0]).split())
            if said:
                said = said if len(said) <= 300 else said[:300].rsplit(" ", 1)[0] + " …"
                return said if said.endswith((".", "!", "?", "…")) else f"{said}."
        return None

    async def _address(self, notification: Notification, seeker: Mapping[str, Any]) -> Address:
        """Raises `Undeliverable`, `Unavailable`."""
        recipient = notification.due.recipient
        of_coach = recipient.role == "coach"
        if of_coach:
            name, address = "", await self._address_of_coach(notification.tenant, recipient.id)
        else:
            name, address = str(seeker.get("name") or ""), str(seeker.get("email") or "")
        # Of a seeker who can't be written to, the coach is told; where that is the coach, it is left to mend.
        if not address:
            raise Undeliverable(f"there is no address of the {recipient.role}", permanent=not of_coach)
        try:
            return Address(" ".join(name.split()), addr_spec=_in_ascii(address))
        except (MessageError, ValueError, IndexError) as error:
            why = f"the address of the {recipient.role} can't be written to: {error}"
            raise Undeliverable(why, permanent=not of_coach) from error

    async def _address_of_coach(self, tenant: str, coach: UUID | None) -> str:
        """Empty where none is known."""
        if coach is None:
            return ""
        return self._settings.coaches.get(coach) or await self._platform.address_of_coach(tenant, coach)


def _in_ascii(address: str) -> str:
    """With its domain as the DNS has it. Of the part before that, only its server knows what it means. Raises
    `ValueError`."""
    local, at, domain = address.rpartition("@")
    # By IDNA 2008: to Python's own codec, which is of 2003, straße.example is strasse.example, which may be others'.
    return address if domain.isascii() else local + at + idna.encode(domain, uts46=True).decode()


def _named(seeker: Mapping[str, Any]) -> str:
    return str(seeker.get("name") or "your participant")


def _listed(names: list[str]) -> str:
    *most, last = names or [""]
    return f"{', '.join(most)} and {last}" if most else last


def _briefly(lead: Mapping[str, Any]) -> str:
    """In brackets, after a space: the person, else how the lead begins. Empty where neither is known any more."""
    said = " ".join(str(lead.get("person") or lead.get("what") or "").split())
    if not said or said == _FORGOTTEN:
        return ""
    return f" ({said if len(said) <= 80 else said[:80].rsplit(' ', 1)[0] + ' …'})"


def _when(interview: Mapping[str, Any], own_zone: str) -> str:
    """On the seeker's own clock, and on the one agreed on where that shows something else. A zone that is not known is
    UTC where it was agreed on, else left aside."""
    if not interview.get("starts_at"):
        return "soon"
    starts_at = datetime.fromisoformat(str(interview["starts_at"]))
    agreed = zone(str(interview.get("time_zone"))) or UTC
    own = zone(own_zone) or agreed
    here, there = starts_at.astimezone(own), starts_at.astimezone(agreed)
    if here.replace(tzinfo=None) == there.replace(tzinfo=None):
        return f"on {_clock(there)} ({agreed})"
    return f"on {_clock(here)} ({own}; {_clock(there)} in {agreed})"


def _clock(local: datetime) -> str:
    return f"{local:%A}, {local.day} {local:%B at %H:%M}"
