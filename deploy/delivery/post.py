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
FIRST_REFUSAL = 400
"""Of the codes that a server answers with; below is what says neither yes nor no, or can't be read."""


class ServerAway(Exception):
    """No mail server, or it went away before the mail's data: the mail was not taken."""


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
            await client.rcpt(parseaddr(mail["To"])[1])
        except aiosmtplib.SMTPAuthenticationError as error:
            raise ServerAway(f"the mail server refuses user or password: {error}") from error
        except aiosmtplib.SMTPResponseException as error:
            raise _refused(error) from error
        except UnicodeError as error:
            raise Refused(f"the mail server takes no such address: {error}", permanent=True) from error
        except (aiosmtplib.SMTPException, OSError) as error:
            raise ServerAway(f"the mail server is away: {error!r}") from error

    async def _hand_over(self, client: aiosmtplib.SMTP, content: bytes) -> None:
        try:
            await client.data(content)
        except aiosmtplib.SMTPResponseException as error:
            if error.code < FIRST_REFUSAL:
                raise Unsure(f"the mail server did not say yes or no to the mail: {error!r}") from error
            raise _refused(error) from error
        except Exception as error:
            raise Unsure(f"the mail server did not answer to the mail: {error!r}") from error


def _refused(error: aiosmtplib.SMTPResponseException) -> Refused:
    return Refused(f"the mail server says {error.code} {error.message}"[:1000], permanent=error.code >= 500)
