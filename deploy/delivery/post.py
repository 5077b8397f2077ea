"""Sending one mail by SMTP, so that it is known as exactly as can be whether the server has taken it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import parseaddr

import aiosmtplib

from shared.client import Unavailable

IMPLICIT_TLS = 465
PATIENCE = 30.0
"""Seconds to wait for the mail server to greet."""
PATIENCE_WITH_LEAVE = 2.0
"""Seconds to wait for an answer to QUIT: what became of the mail is known by then, and the next one waits."""
PATIENCE_WITH_ADDRESSES, PATIENCE_WITH_BEGINNING = 300.0, 120.0
"""Seconds to wait for an answer to MAIL and RCPT, and to DATA (RFC 5321, 4.5.3.2): a server may have to ask others
about an address, and who gives up earlier never hears of it."""
PATIENCE_WITH_DATA = 600.0
"""Seconds to wait once the data go out (RFC 5321, 4.5.3.2.6): who gives up earlier can't know what became of them."""
GO_ON, TAKEN = 354, 250
AUTHENTICATE_FIRST = 530
"""A server may say so to any command: that is no word about the recipient."""
FIRST_REFUSAL = 400
"""Of the codes that a server answers with; below is what says neither yes nor no, or can't be read."""
_OF_US = re.compile(r"\d\.(?:1\.[78]|[3457]\.\d{1,3})(?!\d)")
"""Enhanced codes (RFC 3463) that tell of the sender's address, the mail system, the network, the protocol, or of policy
and log-in. Servers keep such refusals until RCPT (Postfix does: `smtpd_delay_reject`), where they hit every mail; some
mean one recipient by them, who can't be told apart."""
_LEADING_DOT = re.compile(rb"^\.", re.MULTILINE)


class ServerAway(Unavailable):
    """No mail server, or none that deals with us, or it went away before the mail's data: the mail was not taken."""


class Refused(Exception):
    """The server said no. `permanent`: and will again."""

    def __init__(self, why: str, *, permanent: bool) -> None:
        super().__init__(why)
        self.permanent = permanent


class Unsure(Exception):
    """The data had begun, and then came neither a yes nor a no of the server."""


class Post:
    def __init__(self, host: str, port: int, user: str | None = None, password: str | None = None) -> None:
        self._host, self._port, self._user, self._password = host, port, user, password

    async def send(
        self, mail: EmailMessage, look_again: Callable[[], Awaitable[None]], on_the_brink: Callable[[], None]
    ) -> Callable[[], Awaitable[None]]:
        """Return when the server has taken it. When it expects the data, `look_again` is awaited; `on_the_brink` is
        called right before they go out.

        What is returned takes leave of the server, and raises nothing: call it once the result is written down. Raises
        `ServerAway`, `Refused`, `Unsure`, after having taken leave.
        """
        from_the_start = self._port == IMPLICIT_TLS
        client = aiosmtplib.SMTP(
            hostname=self._host,
            port=self._port,
            username=self._user,
            password=self._password,
            use_tls=from_the_start,
            # Used where it is offered; a password waits for it, since somebody in between may leave the offer out.
            start_tls=True if self._user is not None and not from_the_start else None,
            timeout=PATIENCE,
        )
        content = mail.as_bytes(policy=SMTP_POLICY)
        try:
            await self._address(client, mail)
            await self._begin(client)
            try:
                await look_again()
                if not client.is_connected:
                    raise ServerAway("the mail server went away before the mail was handed over")
                on_the_brink()
            except BaseException:
                client.close()  # whatever was said now would be taken for data
                raise
            await self._hand_over(client, content)
        except BaseException:
            await _take_leave(client)
            raise
        return lambda: _take_leave(client)

    async def _address(self, client: aiosmtplib.SMTP, mail: EmailMessage) -> None:
        try:
            await client.connect()
            await client.mail(parseaddr(mail["From"])[1], timeout=PATIENCE_WITH_ADDRESSES)
        except (aiosmtplib.SMTPException, OSError, UnicodeError) as error:
            # Nothing was said of the recipient yet: what is refused here is refused to every mail.
            raise ServerAway(f"the mail server is away, or takes no mail from us: {error!r}") from error
        try:
            await client.rcpt(parseaddr(mail["To"])[1], timeout=PATIENCE_WITH_ADDRESSES)
        except aiosmtplib.SMTPRecipientRefused as error:
            raise _refused_before_the_data(error) from error
        except UnicodeError as error:
            raise Refused(f"such an address can't be told to a mail server: {error}", permanent=True) from error
        except (aiosmtplib.SMTPException, OSError) as error:
            raise ServerAway(f"the mail server is away: {error!r}") from error

    async def _begin(self, client: aiosmtplib.SMTP) -> None:
        """Return when the server expects the data. By itself, since until then nothing of the mail is on its way."""
        try:
            answer = await client.execute_command(b"DATA", timeout=PATIENCE_WITH_BEGINNING)
        except (aiosmtplib.SMTPException, OSError) as error:
            raise ServerAway(f"the mail server is away: {error!r}") from error
        if answer.code != GO_ON:
            raise _refused_before_the_data(aiosmtplib.SMTPDataError(answer.code, answer.message))

    async def _hand_over(self, client: aiosmtplib.SMTP, content: bytes) -> None:
        try:
            assert client.protocol is not None
            client.protocol.write(_LEADING_DOT.sub(b"..", content) + b".\r\n")
            answer = await client.protocol.read_response(timeout=PATIENCE_WITH_DATA)
        except Exception as error:
            client.close()
            raise Unsure(f"the mail server did not answer to the mail: {error!r}") from error
        if answer.code == TAKEN:
            return
        said = aiosmtplib.SMTPDataError(answer.code, answer.message)
        if answer.code < FIRST_REFUSAL:
            raise Unsure(f"the mail server did not say yes or no to the mail: {said!r}")
        raise _refused(said)


async def _take_leave(client: aiosmtplib.SMTP) -> None:
    # Whatever goes wrong in it, what became of the mail is known.
    with suppress(Exception):
        await client.quit(timeout=PATIENCE_WITH_LEAVE)
    with suppress(Exception):
        client.close()


def _refused_before_the_data(error: aiosmtplib.SMTPResponseException) -> Refused | ServerAway:
    refused = _refused(error)
    if error.code == AUTHENTICATE_FIRST or (refused.permanent and _OF_US.match(error.message)):
        return ServerAway(f"the mail server takes no mail from us: {refused}")
    return refused


def _refused(error: aiosmtplib.SMTPResponseException) -> Refused:
    # Its words may be in any encoding, whose bytes are passed on as what can't be written down again.
    said = error.message.encode("utf-8", "replace").decode().replace("\0", "?")
    return Refused(f"the mail server says {error.code} {said}"[:1000], permanent=error.code >= 500)
