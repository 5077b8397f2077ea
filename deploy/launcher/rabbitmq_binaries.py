"""Where RabbitMQ's programs are found: installed ones, else Debian's packages, unpacked into the cache."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.launcher.child import Child
from deploy.launcher.failure import LaunchFailure
from deploy.launcher.folders import arriving, locked
from deploy.launcher.report import say

# What rabbitmq-server depends on, of Erlang, in Debian 11 to 13 and Ubuntu 22.04 to 26.04.
_ERLANG = [
    *("base", "asn1", "crypto", "eldap", "inets", "mnesia", "os-mon", "parsetools"),
    *("public-key", "runtime-tools", "ssl", "syntax-tools", "tools", "xmerl"),
]
_PACKAGES = ["rabbitmq-server", *(f"erlang-{name}" for name in _ERLANG)]
_DOWNLOAD_TIMEOUT = 600.0
_UNPACK_TIMEOUT = 120.0


@dataclass(frozen=True, slots=True)
class RabbitMQBinaries:
    scripts: Path  # holds rabbitmq-server and rabbitmqctl
    erlang: Path | None  # Erlang's root folder; None: the installed one knows its own
    path: str  # PATH with Erlang's programs on it
    origin: str  # for the banner


def find_rabbitmq(env: Mapping[str, str], cache: Path) -> RabbitMQBinaries:
    """The installed programs, else unpacked packages; ``KITHLOG_RABBITMQ=installed|packages`` allows one."""
    wanted = env.get("KITHLOG_RABBITMQ", "auto")
    if wanted not in ("auto", "installed", "packages"):
        raise LaunchFailure(f"KITHLOG_RABBITMQ={wanted}: it is one of auto, installed, packages")
    if wanted != "packages" and (found := _installed(env)):
        return found
    if wanted == "installed":
        raise LaunchFailure("no installed RabbitMQ server was found in /usr/lib/rabbitmq/bin or on PATH")
    return _from_packages(env, cache)


def _installed(env: Mapping[str, str]) -> RabbitMQBinaries | None:
    path = env.get("PATH", os.defpath)
    if shutil.which("erl", path=path) is None:
        return None
    # Debian's program on PATH starts the system's service account; the real scripts lie in the first folder.
    for folder in [Path("/usr/lib/rabbitmq/bin"), *map(Path, path.split(os.pathsep))]:
        script = (folder / "rabbitmq-server").resolve()
        if script.exists() and script.with_name("rabbitmq-env").exists():
            return RabbitMQBinaries(script.parent, None, path, "installed")
    return None


def _from_packages(env: Mapping[str, str], cache: Path) -> RabbitMQBinaries:
    root = cache / "rabbitmq-packages"
    with locked(cache, root.name):
        if not root.exists():
            _fetch(env, cache, root)
    scripts = next(root.glob("usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin"), None)
    erlang = root / "usr/lib/erlang"
    if scripts is None or not (erlang / "bin" / "erl").exists():
        raise LaunchFailure(f"{root} holds no RabbitMQ or no Erlang: remove it to have it fetched again")
    path = os.pathsep.join([str(erlang / "bin"), env.get("PATH", os.defpath)])
    return RabbitMQBinaries(scripts, erlang, path, "Debian packages")


def _fetch(env: Mapping[str, str], cache: Path, root: Path) -> None:
    for program in ("apt-get", "dpkg"):
        if shutil.which(program, path=env.get("PATH")) is None:
            raise LaunchFailure(
                f"RabbitMQ is not installed and cannot be fetched ({program} is missing). Install it, "
                "or start Docker, or give DATABASE_URL and AMQP_URL"
            )
    log = cache / "rabbitmq-packages.log"
    log.unlink(missing_ok=True)
    with arriving(root) as filling:
        work = filling / ".download"
        for folder in ("state/lists/partial", "cache/archives/partial", "packages"):
            (work / folder).mkdir(parents=True)
        (work / "state" / "status").touch()
        # apt checks signatures as ever; only its state is private: it needs no root and installs nothing.
        apt = ["apt-get", f"-oDir::State={work}/state", f"-oDir::State::status={work}/state/status"]
        apt += [f"-oDir::Cache={work}/cache", "-oAPT::Sandbox::User=", "-oAcquire::Languages=none", "-qq"]
        say("RabbitMQ is not installed: reading Debian's package lists (9 MB, once) …")
        try:
            Child("apt-get update", [*apt, "update"], env=env, log=log).succeed(_DOWNLOAD_TIMEOUT)
        except LaunchFailure:
            # One broken source among several fails the whole update; the others may well hold what is needed.
            say("some package lists could not be read, trying with the others …")
        say("fetching RabbitMQ and Erlang (32 MB, once) …")
        download = [*apt, "download", *_PACKAGES]
        Child("apt-get download", download, env=env, log=log, cwd=work / "packages").succeed(_DOWNLOAD_TIMEOUT)
        packages = sorted((work / "packages").glob("*.deb"))
        if len(packages) != len(_PACKAGES):
            raise LaunchFailure(f"apt-get download brought {len(packages)} of {len(_PACKAGES)} packages: see {log}")
        say(f"unpacking {len(packages)} packages into {root} …")
        for package in packages:
            Child("dpkg", ["dpkg", "-x", package, filling], env=env, log=log).succeed(_UNPACK_TIMEOUT)
        shutil.rmtree(work)
        _make_movable(filling / "usr/lib/erlang")


def _make_movable(erlang: Path) -> None:
    """Debian's start scripts know one place only; let them believe ``ERL_ROOTDIR``."""
    for script in [*erlang.glob("bin/erl"), *erlang.glob("erts-*/bin/erl")]:
        text = script.read_text()
        script.write_text(re.sub(r"(?m)^(\s*)ROOTDIR=/usr/lib/erlang$", r'\1ROOTDIR="$ERL_ROOTDIR"', text))
