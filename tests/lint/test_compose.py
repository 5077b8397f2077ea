"""The compose file, as Compose itself understands it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from services.command.settings import CommandSettings
from services.projector.settings import ProjectorSettings
from shared.operations.settings import documented

ROOT = Path(__file__).parents[2]
COMPOSE = Path(sys.executable).with_name("docker-compose")
PASSWORDS = {"KITHLOG_POSTGRES_PASSWORD": "for-postgres", "KITHLOG_RABBITMQ_PASSWORD": "for-rabbitmq"}


def config(settings: dict[str, str], *more: Path) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("KITHLOG_")}
    files = [part for file in (ROOT / "docker-compose.yml", *more) for part in ("--file", file)]
    return subprocess.run(
        # Without the file .env of a set-up that is in use here.
        [COMPOSE, *files, "--env-file", os.devnull, "config", "--format", "json"],
        env={**env, **settings},
        capture_output=True,
        text=True,
    )


def services(**settings: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(config(PASSWORDS | settings).stdout)["services"]
    return found


@pytest.mark.parametrize("missing", PASSWORDS)
def test_without_a_password_nothing_starts(missing: str) -> None:
    """Given that one password is not set, then Compose refuses and names it: there is no default to forget."""
    refused = config({name: value for name, value in PASSWORDS.items() if name != missing})
    assert refused.returncode != 0
    assert missing in refused.stderr


def test_no_image_is_built_twice() -> None:
    """Given services of one image, then one of them builds it: two exports of a name at a time fail."""
    built = [service["image"] for service in services().values() if "build" in service]
    assert built == ["kithlog"]
    assert {services()[name]["image"] for name in ("command", "projector")} == set(built)


def test_what_may_be_more_than_memory_holds_is_on_disk() -> None:
    """Given services that write nowhere else, then both can write to /tmp; that of the command service, which holds the
    outcomes of imports, is a volume."""
    found = services()
    assert all(found[name]["read_only"] for name in ("command", "projector"))
    assert found["projector"]["tmpfs"] == ["/tmp"]
    assert [(each["type"], each["target"]) for each in found["command"]["volumes"]] == [("volume", "/tmp")]
    assert "tmpfs" not in found["command"]


def test_every_port_is_bound_to_loopback() -> None:
    ports = [port for service in services().values() for port in service["ports"]]
    assert len(ports) == 4
    assert {port["host_ip"] for port in ports} == {"127.0.0.1"}


def test_services_wait_for_servers_that_say_they_are_healthy() -> None:
    found = services()
    for name in ("command", "projector"):
        assert {on: how["condition"] for on, how in found[name]["depends_on"].items()} == {
            "postgres": "service_healthy",
            "rabbitmq": "service_healthy",
        }
    assert all("healthcheck" in found[name] for name in ("postgres", "rabbitmq"))


def test_all_come_back_with_the_machine_but_the_servers_of_a_run() -> None:
    """Given a set-up by hand, then all of it is started again; the launcher's servers, by its setting, are not."""
    assert {service["restart"] for service in services().values()} == {"unless-stopped"}
    of_a_run = services(KITHLOG_SERVERS_RESTART="no")
    assert [of_a_run[name]["restart"] for name in ("postgres", "rabbitmq")] == ["no", "no"]


def test_services_reach_the_servers_by_the_passwords_given() -> None:
    environment = services()["projector"]["environment"]
    assert environment["KITHLOG_DATABASE_URL"] == "postgresql://kithlog:for-postgres@postgres:5432/kithlog"
    assert environment["KITHLOG_AMQP_URL"] == "amqp://kithlog:for-rabbitmq@rabbitmq:5672/%2F"


def test_every_setting_is_handed_on() -> None:
    """Given a setting that is exported, then the services get it; one that is not set is left to its default. Policies
    are a file, which has to be mounted."""
    names = {each.variable for kind in (CommandSettings, ProjectorSettings) for each in documented(kind)}
    names -= {"KITHLOG_DATABASE_URL", "KITHLOG_AMQP_URL", "KITHLOG_POLICIES"}
    given = services(**{name: f"some {name}" for name in names})
    absent = services()
    for service in ("command", "projector"):
        assert {name: given[service]["environment"].get(name) for name in names} == {
            name: f"some {name}" for name in names
        }
        assert not any(absent[service]["environment"].get(name) for name in names)


def test_policies_reach_both_services_as_the_readme_says(tmp_path: Path) -> None:
    """Given the README's file beside the compose file, then both services read the policies, and from where they are
    mounted; what else they have mounted stays."""
    [yaml] = re.findall(r"```yaml\n(services:\n.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    override = tmp_path / "docker-compose.override.yml"
    override.write_text(yaml, "utf-8")
    found = json.loads(config(PASSWORDS, override).stdout)["services"]
    for service in ("command", "projector"):
        file = found[service]["environment"]["KITHLOG_POLICIES"]
        assert (file, True) in {(each["target"], each.get("read_only")) for each in found[service]["volumes"]}
    assert "/tmp" in {each["target"] for each in found["command"]["volumes"]}
