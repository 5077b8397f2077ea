"""Settings from the environment, and what log lines look like."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest
import structlog
from fastapi import FastAPI

from deploy.delivery.settings import DeliverySettings
from services.command.app import create_app as create_command_app
from services.command.settings import CommandSettings
from services.projector.app import create_app as create_projector_app
from services.projector.settings import ProjectorSettings
from shared.operations.correlation import MalformedCorrelationId, correlated, correlation_of, current_correlation
from shared.operations.logging import configure_logging
from shared.operations.settings import Settings, Unusable, documented, from_environment

ID = UUID("0af76519-16cd-43dd-8448-eb211c80319c")


@pytest.mark.parametrize("kind", [CommandSettings, ProjectorSettings])
def test_every_setting_is_described(kind: type[Settings]) -> None:
    """Given each setting, then it has a variable, a default and a sentence on what it means."""
    for setting in documented(kind):
        assert setting.variable.startswith("KITHLOG_")
        assert setting.description.endswith("."), setting


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KITHLOG_DATABASE_URL", "postgresql://db/x")
    monkeypatch.setenv("KITHLOG_RELAY", "off")
    settings = CommandSettings()
    assert (settings.database_url, settings.relay) == ("postgresql://db/x", False)


@pytest.mark.parametrize(
    ("variable", "value"),
    [("KITHLOG_DATABASE_URL", "mysql://db:secret@x"), ("KITHLOG_BODY_LIMIT", "0"), ("KITHLOG_LOG_LEVEL", "loud")],
)
def test_a_wrong_setting_is_refused_without_telling_secrets(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    """Given a wrong value, then the service does not start; a line names the variable and holds no password."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(SystemExit) as ended:
        create_command_app()
    assert f"kithlog: settings can't be used: {variable}: " in str(ended.value)
    assert "\n" not in str(ended.value)
    assert "secret" not in str(ended.value)


@pytest.mark.parametrize("create_app", [create_command_app, create_projector_app])
def test_policies_that_can_t_be_used_end_the_service(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, create_app: Callable[[], FastAPI]
) -> None:
    """Given a file of policies with a name that is none, then neither service starts, and each says where."""
    wrong = tmp_path / "policies.toml"
    wrong.write_text("[acme.thank_yuo]\n", "utf-8")
    monkeypatch.setenv("KITHLOG_POLICIES", str(wrong))
    with pytest.raises(SystemExit, match=r"KITHLOG_POLICIES: .*\n.*thank_yuo"):
        create_app()


def test_what_is_not_even_json_is_told_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KITHLOG_DELIVERY_COACHES", "{oops")
    with pytest.raises(Unusable, match="KITHLOG_DELIVERY_COACHES: "):
        from_environment(DeliverySettings)


def test_an_empty_policies_setting_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a manifest that hands on a file name which is not set, then the policies are the release's."""
    monkeypatch.setenv("KITHLOG_POLICIES", "")
    assert ProjectorSettings().policies is None


def test_passwords_are_not_shown() -> None:
    settings = CommandSettings(database_url="postgresql://app:secret@db/x", amqp_url="amqp://app:secret@mq/")
    assert "secret" not in repr(settings)


@pytest.fixture
def log() -> io.StringIO:
    """What is written to the log as JSON."""
    stream = io.StringIO()
    configure_logging("info", "auto", stream, service="command")
    return stream


def lines(log: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


def test_a_line_is_an_object_with_the_correlation_id(log: io.StringIO) -> None:
    """Given no terminal, then each line is JSON, whoever wrote it, and carries the correlation id and the service's
    name."""
    with correlated(ID):
        structlog.get_logger("kithlog").info("something", position=7)
        logging.getLogger("uvicorn.error").warning("theirs %s", 1)
        structlog.get_logger("kithlog").debug("unheard")
    ours, theirs = lines(log)
    assert (ours["event"], ours["position"], ours["level"], ours["correlation_id"]) == (
        "something", 7, "info", str(ID),
    )  # fmt: skip
    assert (theirs["event"], theirs["logger"], theirs["level"], theirs["correlation_id"]) == (
        "theirs 1", "uvicorn.error", "warning", str(ID),
    )  # fmt: skip
    assert "timestamp" in ours
    assert "timestamp" in theirs
    assert ours["service"] == theirs["service"] == "command"


def test_a_traceback_tells_no_values(log: io.StringIO) -> None:
    """Given an error whose frames hold personal data, then the line has the frames, and not the data."""

    def fails(name: str) -> None:
        raise ValueError("wrong")

    for logger in (structlog.get_logger("kithlog"), logging.getLogger("aio_pika")):
        try:
            fails("Mona Quist")
        except ValueError:
            logger.error("failed", exc_info=True)
    for line in lines(log):
        assert "Mona" not in json.dumps(line)
        assert "fails" in json.dumps(line["exception"])


def test_nor_does_one_on_a_terminal() -> None:
    """Given a terminal, then a traceback has the frames there, too, and none of their values."""
    stream = io.StringIO()
    configure_logging("info", "console", stream)

    def fails(name: str) -> None:
        raise ValueError("wrong")

    for logger in (structlog.get_logger("kithlog"), logging.getLogger("aio_pika")):
        try:
            fails("Mona " + "Quist")
        except ValueError:
            logger.error("failed", exc_info=True)
    structlog.reset_defaults()
    assert stream.getvalue().count("in fails") == 2
    assert "Mona Quist" not in stream.getvalue()


def test_a_terminal_gets_text() -> None:
    stream = io.StringIO()
    stream.isatty = lambda: True  # type: ignore[method-assign]
    configure_logging("info", "auto", stream)
    structlog.get_logger("kithlog").info("something", position=7)
    structlog.reset_defaults()
    assert "something" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


@pytest.mark.parametrize(
    ("headers", "wanted"),
    [
        ([(b"x-correlation-id", str(ID).encode())], ID),
        ([(b"traceparent", f"00-{ID.hex}-b7ad6b7169203331-01".encode())], ID),
        ([(b"traceparent", b"00-" + b"1" * 32 + b"-b7ad6b7169203331-01"), (b"x-correlation-id", ID.hex.encode())], ID),
        ([(b"traceparent", b"00-" + b"0" * 32 + b"-b7ad6b7169203331-01")], None),
        ([(b"traceparent", b"garbage")], None),
        ([], None),
    ],
)
def test_the_correlation_id_is_taken_or_made(headers: list[tuple[bytes, bytes]], wanted: UUID | None) -> None:
    found = correlation_of(headers)
    assert found == wanted if wanted else found not in {ID, UUID(int=0)}


def test_an_unreadable_correlation_id_is_an_error() -> None:
    with pytest.raises(MalformedCorrelationId):
        correlation_of([(b"x-correlation-id", b"\xff\x00")])


def test_the_correlation_id_holds_within_its_block() -> None:
    with correlated(ID):
        assert current_correlation() == ID
    assert current_correlation() is None
