"""How a mail goes to a server that wants to know who sends it, and over TLS alone."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

from deploy.delivery import post
from deploy.delivery.mailbox import Mailbox
from deploy.delivery.post import Post, ServerAway

CERTIFICATE = Path(__file__).with_name("server.pem")
"""With its key: the server's, and what vouches for it. It is in no use but here, and so is no secret."""
USER, PASSWORD = "kithlog", "open sesame"
MAIL = EmailMessage()
MAIL["From"], MAIL["To"], MAIL["Subject"] = "reminders@kithlog.example", "maya@example.org", "Say thanks"
MAIL.set_content("Theo gave you half an hour.")


class Server(Mailbox):
    """A mailbox that opens for one user alone, over TLS."""

    def __init__(self) -> None:
        super().__init__()
        self.logins: list[tuple[str, str]] = []
        self.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.tls.load_cert_chain(CERTIFICATE)

    def authenticate(self, server: Any, session: Any, envelope: Any, mechanism: str, given: Any) -> AuthResult:
        assert isinstance(given, LoginPassword)
        self.logins.append((given.login.decode(), given.password.decode()))
        return AuthResult(success=self.logins[-1] == (USER, PASSWORD), handled=False)

    @asynccontextmanager
    async def secured(self, *, from_the_start: bool) -> AsyncIterator[int]:
        """Serves on loopback, on the port that is given: over TLS from the start, or from STARTTLS on."""
        loop = asyncio.get_running_loop()
        options: dict[str, Any] = {"hostname": "localhost", "loop": loop, "authenticator": self.authenticate}
        if from_the_start:
            options |= {"auth_require_tls": False}  # it knows of no TLS but that of STARTTLS
        else:
            options |= {"tls_context": self.tls, "require_starttls": True, "auth_required": True}
        server = await loop.create_server(
            lambda: SMTP(self, **options), "127.0.0.1", 0, ssl=self.tls if from_the_start else None
        )
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()


async def nothing_new() -> None:
    """A look that finds nothing needless."""


@pytest.fixture
def vouched(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's certificate is one that this machine trusts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))


@pytest.mark.usefixtures("vouched")
@pytest.mark.parametrize("from_the_start", [False, True])
async def test_a_mail_goes_over_tls_after_a_log_in(monkeypatch: pytest.MonkeyPatch, from_the_start: bool) -> None:
    """Given a server that offers STARTTLS, or one that speaks TLS from the start on the port for that, and a user with
    the right password, then the mail arrives, after the log-in."""
    server = Server()
    async with server.secured(from_the_start=from_the_start) as port:
        if from_the_start:
            monkeypatch.setattr(post, "IMPLICIT_TLS", port)
        begun: list[bool] = []
        take_leave = await Post("127.0.0.1", port, USER, PASSWORD).send(MAIL, nothing_new, lambda: begun.append(True))
        await take_leave()
    assert (server.logins, begun) == ([(USER, PASSWORD)], [True])
    assert [mail["Subject"] for mail in server.mails] == ["Say thanks"]


@pytest.mark.usefixtures("vouched")
async def test_a_wrong_password_is_no_word_about_the_mail() -> None:
    """Given a server that does not take the password, then it counts as away, and nothing was handed over."""
    server = Server()
    async with server.secured(from_the_start=False) as port:
        begun: list[bool] = []
        with pytest.raises(ServerAway, match="535"):
            await Post("127.0.0.1", port, USER, "open barley").send(MAIL, nothing_new, lambda: begun.append(True))
    assert set(server.logins) == {(USER, "open barley")}
    assert (begun, server.mails) == ([], [])


async def test_whom_nobody_vouches_for_is_told_nothing() -> None:
    """Given a server whose certificate this machine does not trust, then it counts as away, and hears no password."""
    server = Server()
    async with server.secured(from_the_start=False) as port:
        with pytest.raises(ServerAway, match="CERTIFICATE_VERIFY_FAILED"):
            await Post("127.0.0.1", port, USER, PASSWORD).send(MAIL, nothing_new, lambda: None)
    assert (server.logins, server.mails) == ([], [])


async def test_where_no_tls_is_offered_no_password_is_told() -> None:
    """Given a server that offers no STARTTLS, as where somebody in between has left it out, and a user, then it counts
    as away, and hears neither password nor mail."""
    server = Server()
    async with server.open():
        begun: list[bool] = []
        with pytest.raises(ServerAway, match="STARTTLS"):
            await Post("127.0.0.1", server.port, USER, PASSWORD).send(MAIL, nothing_new, lambda: begun.append(True))
    assert (server.logins, begun, server.mails) == ([], [], [])
