"""What is done with each notification."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from email.errors import MessageError
from email.headerregistry import Address
from typing import Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, BaseModel

from deploy.delivery.ledger import Entry, Ledger
from deploy.delivery.platform import Platform
from deploy.delivery.post import Post, Refused, ServerAway
from deploy.delivery.settings import DeliverySettings
from deploy.delivery.wording import Wording, mail, thanks, wording, write
from shared.client import CloudEvent, Handlers, Park, Unavailable
from shared.clock import Clock

logger = logging.getLogger(__name__)

CHANNEL = "email"


class Recipient(BaseModel):
    id: UUID | None = None
    role: Literal["seeker", "coach"]


class Due(BaseModel):
    """What this service reads of `notification.due`."""

    kind: str
    stage: str
    recipient: Recipient
    seeker_id: UUID
    contact_ids: tuple[UUID, ...] = ()
    interview_id: UUID | None = None
    dedupe_key: str
    cancellation_key: str
    expires_at: AwareDatetime


class Withdrawn(BaseModel):
    cancellation_key: str
    reason: str


class Undeliverable(Exception):
    """There is nobody to send it to; trying again won't help."""


class Delivery:
    def __init__(
        self, settings: DeliverySettings, platform: Platform, post: Post, ledger: Ledger, clock: Clock
    ) -> None:
        self._settings, self._platform, self._post = settings, platform, post
        self._ledger, self._clock = ledger, clock

    def handlers(self) -> Handlers[None]:
        handlers: Handlers[None] = Handlers()
        handlers.on("notification.due")(self.due)
        handlers.on("notification.withdrawn")(self.withdrawn)
        return handlers

    async def withdrawn(self, event: CloudEvent, within: None) -> None:
        """What has the same key and is still undelivered is needless from now on."""
        told = event.read(Withdrawn)
        if told.reason in ("withdrawn", "superseded"):
            self._ledger.withdraw(f"{event.tenant}/{told.cancellation_key}", event.position)

    async def due(self, event: CloudEvent, within: None) -> None:
        """Send it, once, and report how it went. Safe to repeat at any point.

        Raises `Unavailable` while something is away, `Refused` when the mail server may take it later, `Unsure`.
        """
        due = event.read(Due)
        key = f"{event.tenant}/{due.dedupe_key}"
        entry = self._ledger.entry(key)
        if entry is None or (entry.state == "intended" and self._settings.when_unsure == "again"):
            if self._ledger.withdrawn(f"{event.tenant}/{due.cancellation_key}", event.position):
                logger.info("%s is not sent: it was withdrawn", key)
                return
            await self._try(event, due, key)
        elif entry.state == "intended":
            self._ledger.failed(key, "it is not known whether the mail server has taken it", permanent=False)
        entry = self._ledger.entry(key)
        if entry is not None and not entry.reported:
            await self._report(event, key, entry)

    async def _try(self, event: CloudEvent, due: Due, key: str) -> None:
        """Afterwards it stands in the ledger as sent or failed.

        Raises what `due` raises; after `Unsure` it stands there as intended, and the next attempt decides.
        """
        if due.expires_at <= self._clock.now():
            self._ledger.failed(key, "its time had passed before it could be sent", permanent=False)
            return
        words = wording(due.kind, due.stage)
        if words is None:
            raise Park("no_words", f"there is no mail for {due.kind}/{due.stage}")
        try:
            to, written = await self._write(event, due, words)
        except Undeliverable as error:
            self._ledger.failed(key, str(error), permanent=True)
            return
        settings = self._settings
        message = mail(event, key, sender=settings.sender, domain=settings.domain, to=to, written=written)
        try:
            await self._post.send(message, lambda: self._ledger.intend(key))
        except ServerAway as error:
            raise Unavailable(str(error)) from error
        except Refused as error:
            if not error.permanent:
                self._ledger.forget(key)
                raise
            self._ledger.failed(key, str(error), permanent=True)
        else:
            self._ledger.sent(key)
            logger.info("%s is sent: %s/%s", key, due.kind, due.stage)

    async def _report(self, event: CloudEvent, key: str, entry: Entry) -> None:
        if entry.state == "sent":
            verb, body = "report-delivered", dict[str, Any](channel=CHANNEL)
        else:
            verb, body = "report-failed", {"channel": CHANNEL, "why": entry.why, "permanent": entry.permanent}
        if not await self._platform.report(event.tenant, event.subject, verb, body):
            logger.info("%s is not taken for %s: the notification has had another end", verb, key)
        self._ledger.reported(key)

    async def _write(self, event: CloudEvent, due: Due, words: Wording) -> tuple[Address, tuple[str, str, str]]:
        """Raises `Undeliverable`."""
        seeker = await self._platform.seeker(event.tenant, due.seeker_id, event.position)
        to = self._address(due.recipient, seeker)
        names = await self._platform.contact_names(event.tenant, due.contact_ids)
        interview: Mapping[str, Any] = {}
        if due.interview_id is not None:
            interview = await self._platform.interview(event.tenant, due.interview_id)
        values = {
            "seeker": str(seeker.get("name") or "your participant"),
            "contacts": _listed(names) or "your contact",
            "about": str(interview.get("about") or "their work"),
            "when": _when(interview),
        }
        if "{draft}" in words["text"]:
            values["draft"] = thanks(await self._noted(event, due), values)
        greeting = f"Dear {values['seeker']}," if due.recipient.role == "seeker" else "Dear coach,"
        return to, write(words, values, greeting)

    async def _noted(self, event: CloudEvent, due: Due) -> str | None:
        """The most telling thing that was noted: a piece of advice, a point, or the beginning of the text."""
        if due.interview_id is None:
            return None
        for piece in await self._platform.noted(event.tenant, due.seeker_id, due.interview_id):
            found = [each["text"] for each in piece["advice"]] or piece["points"] or [piece["text"] or ""]
            said = " ".join(str(found[0]).split())
            if said:
                said = said if len(said) <= 300 else said[:300].rsplit(" ", 1)[0] + " …"
                return said if said.endswith((".", "!", "?", "…")) else f"{said}."
        return None

    def _address(self, recipient: Recipient, seeker: Mapping[str, Any]) -> Address:
        """Raises `Undeliverable`."""
        if recipient.role == "coach":
            name, address = "", self._settings.coaches.get(str(recipient.id), "")
        else:
            name, address = str(seeker.get("name") or ""), str(seeker.get("email") or "")
        if not address:
            raise Undeliverable(f"there is no address of the {recipient.role}")
        try:
            return Address(" ".join(name.split()), addr_spec=address)
        except (MessageError, ValueError, IndexError) as error:
            raise Undeliverable(f"the address of the {recipient.role} can't be written to: {error}") from error


def _listed(names: list[str]) -> str:
    *most, last = names or [""]
    return f"{', '.join(most)} and {last}" if most else last


def _when(interview: Mapping[str, Any]) -> str:
    if not interview.get("starts_at"):
        return "soon"
    zone = str(interview.get("time_zone") or "UTC")
    local = datetime.fromisoformat(str(interview["starts_at"])).astimezone(ZoneInfo(zone))
    return f"on {local:%A}, {local.day} {local:%B at %H:%M} ({zone})"
