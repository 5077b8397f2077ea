"""What the operators' tool can be told from outside, beside what it shares with the services."""

from __future__ import annotations

import getpass
import socket
from typing import Annotated

from pydantic import AfterValidator, Field

from shared.operations.settings import PoliciesFile, Settings


def _is_http(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise ValueError("must begin with http:// or https://")
    return url


class OperatorSettings(Settings):
    """The command line."""

    management_url: Annotated[str, AfterValidator(_is_http)] | None = Field(
        None,
        repr=False,
        description="RabbitMQ's management API, for what AMQP can't tell `kithlog doctor`: bindings and alarms.",
    )
    command_url: Annotated[str, AfterValidator(_is_http)] | None = Field(
        None, description="The command service, for `kithlog doctor` to ask whether it is ready, and if not, why."
    )
    projector_url: Annotated[str, AfterValidator(_is_http)] | None = Field(
        None, description="The projector service, likewise."
    )
    policies: PoliciesFile = Field(None, description="The tenants' changed timing policies, as for the services.")
    actor: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        description="Who is said to have done it in the record of operations; else user@machine.",
    )

    @property
    def who(self) -> str:
        if self.actor is not None:
            return self.actor
        try:
            user = getpass.getuser()
        except (KeyError, OSError):  # a user id without a name, as in a container
            user = "unknown"
        return f"{user}@{socket.gethostname()}"
