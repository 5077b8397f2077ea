"""What the delivery service is told by its environment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BeforeValidator, Field
from pydantic_core import from_json
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from shared.operations.urls import AmqpUrl


def _from_json(given: object) -> object:
    return from_json(given) if isinstance(given, str) else given


class Services(BaseSettings):
    """Where Kithlog is; variables begin with `KITHLOG_`."""

    model_config = SettingsConfigDict(env_prefix="KITHLOG_", frozen=True, extra="ignore", hide_input_in_errors=True)

    amqp_url: AmqpUrl = Field(
        "amqp://guest:guest@127.0.0.1:5672/",
        repr=False,
        description="RabbitMQ; its user needs the rights of a consumer named `kithlog.delivery`.",
    )
    command_url: str = Field("http://127.0.0.1:8101", description="The command service.")
    projector_url: str = Field("http://127.0.0.1:8102", description="The projector service.")


class DeliverySettings(BaseSettings):
    """The service's own; variables begin with `KITHLOG_DELIVERY_`."""

    model_config = SettingsConfigDict(
        env_prefix="KITHLOG_DELIVERY_", frozen=True, extra="ignore", hide_input_in_errors=True
    )

    state: Path = Field(Path("var/delivery"), description="Folder of its mark and its ledger; one process at a time.")
    smtp_host: str | None = Field(
        None,
        min_length=1,
        description="Mail server; to be named. `print`: none, mails are printed and reported as delivered.",
    )
    smtp_port: int = Field(
        587,
        ge=1,
        le=65535,
        description="Its port; 465: TLS from the start, else STARTTLS: where it is offered, with a user in any case.",
    )
    smtp_user: str | None = Field(None, description="User, where it wants one.")
    smtp_password: str | None = Field(None, repr=False, description="Password, where it wants one.")
    sender: str = Field("Kithlog <reminders@kithlog.example>", description="`From` of the mails.")
    domain: str = Field("kithlog.example", description="Right side of the mails' `Message-ID`.")
    # Left to the validator: what is no JSON is then told by the variable's name.
    coaches: Annotated[dict[UUID, str], NoDecode, BeforeValidator(_from_json)] = Field(
        default_factory=dict,
        description="Coach id → address, as a JSON object; of others, what their programmes have (`assign_coach`).",
    )
    when_unsure: Literal["never", "again"] = Field(
        "never", description="`again`: send again what the mail server may or may not have taken."
    )
    gather: float = Field(
        60.0,
        ge=0,
        description="Seconds that what is not urgent waits for more of its group; 0: each goes in a mail of its own.",
    )
    tenant: str = Field(
        "*", description="Only this tenant's notifications, on queues with its name; `*`: those of all."
    )
