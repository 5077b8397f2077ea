"""Sending one mail by SMTP, so that it is known as exactly as can be whether the server has taken it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import parseaddr

import aiosmtplib

IMPLICIT_TLS = 465
PATIENCE = 30.0
"""Seconds to wait for the mail server."""
PATIENCE_WITH_DATA = 600.0
"""Seconds to wait once the data go out (RFC 5321, 4.5.3.2.6): who gives up earlier can't know what became of them."""
AUTHENTICATE_FIRST = 530
"""A server may say so to any command: that is no word about the recipient."""
FIRST_REFUSAL = 400
"""Of the codes that a server answers with; below is what says neither yes nor no, or can't be read."""


class ServerAway(Exception):
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

    async def send(self, mail: EmailMessage, on_the_brink: Callable[[], None]) -> None:
        """Return when the server has taken it. `on_the_brink` is called right before the data go out.

        Raises `ServerAway`, `Refused`, `Unsure`.
        """
        client = aiosmtplib.SMTP(
            hostname=self._host,
            port=self._port,
            username=self._user,
            password=self._password,
            use_tls=self._port == IMPLICIT_TLS,  # elsewhere STARTTLS is used if the server offers it
            timeout=PATIENCE,
        )
        content = mail.as_bytes(policy=SMTP_POLICY)
        try:
            await self._address(client, mail)
            on_the_brink()
            await self._hand_over(client, content)
        finally:
            # Whatever goes wrong in taking leave, what became of the mail is known.
            with suppress(Exception):
                await client.quit()
            with suppress(Exception):
                client.close()

    async def _address(self, client: aiosmtplib.SMTP, mail: EmailMessage) -> None:
        try:
            await client.connect()
            await client.mail(parseaddr(mail["From"])[1])
        except (aiosmtplib.SMTPException, OSError, UnicodeError) as error:
            # Nothing was said of the recipient yet: what is refused here is refused to every mail.
            raise ServerAway(f"the mail server is away, or takes no mail from us: {error!r}") from error
        try:
            await client.rcpt(parseaddr(mail["To"])[1])
        except aiosmtplib.SMTPRecipientRefused as error:
            if error.code == AUTHENTICATE_FIRST:
                raise ServerAway(f"the mail server takes no mail from us: {error!r}") from error
            raise _refused(error) from error
        except UnicodeError as error:
            raise Refused(f"the mail server takes no such address: {error}", permanent=True) from error
        except (aiosmtplib.SMTPException, OSError) as error:
            raise ServerAway(f"the mail server is away: {error!r}") from error

    async def _hand_over(self, client: aiosmtplib.SMTP, content: bytes) -> None:
        try:
            await client.data(content, timeout=PATIENCE_WITH_DATA)
        except aiosmtplib.SMTPResponseException as error:
            if error.code < FIRST_REFUSAL:
                raise Unsure(f"the mail server did not say yes or no to the mail: {error!r}") from error
            raise _refused(error) from error
        except Exception as error:
            raise Unsure(f"the mail server did not answer to the mail: {error!r}") from error


def _refused(error: aiosmtplib.SMTPResponseException) -> Refused:
    # Its words may be in any encoding, whose bytes are passed on as what can't be written down again.
    said = error.message.encode("utf-8", "replace").decode().replace("\0", "?")
    return Refused(f"the mail server says {error.code} {said}"[:1000], permanent=error.code >= 500)
