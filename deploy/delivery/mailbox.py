"""A mail server for the demo and for tests: keeps what it takes, and can print it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import cast

from aiosmtpd.smtp import SMTP, Envelope, Session


class Mailbox:
    """`answer` is what the server says to a mail; one that does not begin with 250 is not kept."""

    def __init__(self, show: Callable[[EmailMessage], None] | None = None) -> None:
        self.mails: list[EmailMessage] = []
        self.answer: Callable[[EmailMessage], str] = lambda mail: "250 taken"
        self.port = 0
        self._show = show
        self._changed = asyncio.Event()

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        mail = message_from_bytes(cast(bytes, envelope.content), policy=default)
        answer = self.answer(mail)
        if answer.startswith("250"):
            self.mails.append(mail)
            self._changed.set()
            if self._show:
                self._show(mail)
        return answer

    async def has(self, count: int, *, seconds: float) -> bool:
        """Wait until there are so many mails; False when there are not within `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                while len(self.mails) < count:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return False
        return True

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Mailbox]:
        """Serves on loopback, on a free port."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: SMTP(self, hostname="localhost", loop=loop), "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()


def text_of(mail: EmailMessage) -> str:
    """Its plain text."""
    body = mail.get_body(("plain",))
    return "" if body is None else str(body.get_content())


def readable(mail: EmailMessage) -> str:
    """For a terminal."""
    head = "".join(f"{name}: {mail[name]}\n" for name in ("To", "Subject"))
    return f"{head}\n{text_of(mail).rstrip()}"
