"""A private RabbitMQ node on loopback."""

from __future__ import annotations

import secrets
import shutil
import signal
import subprocess
from collections.abc import Mapping
from urllib.parse import quote

import httpx

from deploy.launcher.amqp import server_version
from deploy.launcher.child import Child
from deploy.launcher.failure import LaunchFailure
from deploy.launcher.folders import RunFolder, server_user
from deploy.launcher.ports import LOOPBACK, answers, pick
from deploy.launcher.rabbitmq_binaries import RabbitMQBinaries

_USER = "kithlog"
_START_TIMEOUT = 120.0
_CONFIGURATION = """\
listeners.tcp.1 = {loopback}:{port}
default_user = {user}
default_pass = {password}
default_user_tags.administrator = true
log.console = true
log.console.level = info
log.file = false
disk_free_limit.absolute = 200MB
management.tcp.ip = {loopback}
management.tcp.port = {management_port}
# The HTTP interface administers virtual hosts; statistics would cost time on every start and message.
management_agent.disable_metrics_collector = true
"""
_ERLANG_ARGUMENTS = (
    # Loopback only, for Erlang's own protocol too; no busy waiting, it takes the processor from the others.
    "-kernel inet_dist_use_interface {127,0,0,1} -start_epmd false +sbwt none +sbwtdcpu none +sbwtdio none"
)


_CLUSTER = """\
cluster_formation.peer_discovery_backend = classic_config
cluster_formation.classic_config.nodes.1 = {peer}
"""


class LocalRabbitMQ:
    """One node with one administrator, ``kithlog``; its own name, ports, cookie and port mapper.

    User, password and ports stay the same over :meth:`kill`, :meth:`wipe` and :meth:`start`. A node that is made
    beside another shares its cookie, port mapper and administrator, and joins its cluster at its first start.
    """

    def __init__(
        self,
        binaries: RabbitMQBinaries,
        run: RunFolder,
        env: Mapping[str, str],
        preferred_port: int | None = None,
        beside: LocalRabbitMQ | None = None,
        name: str = "rabbitmq",
    ) -> None:
        """``name`` is its folder's in the run; nodes beside another have their port's number behind it."""
        self._beside = beside
        self.port = pick(preferred_port)
        self.management_port = pick()
        self.origin = binaries.origin
        self.version = "?"
        self.log = run.path / f"{name}.log"
        self._scripts = binaries.scripts
        self._home = run.subfolder(f"{name}-{self.port}" if beside else name)
        self._password: str = beside._password if beside else secrets.token_urlsafe(24)
        self._cookie: str = beside._cookie if beside else secrets.token_hex(24)
        self._epmd_port: int = beside._epmd_port if beside else pick()
        self._env = self._environment(binaries, env, pick())
        self._vhosts: set[str] = set()
        self._wiped = False
        self._epmd: Child | None = None
        self._server: Child | None = None
        self._write_configuration()

    @property
    def node(self) -> str:
        """Its name among Erlang's."""
        # Unique on this machine: two nodes of one name would refuse each other's port mapper.
        return f"kithlog-{self.port}@localhost"

    @property
    def amqp_url(self) -> str:
        """The administrator's way to the virtual host ``/``."""
        return self.url_of("/")

    @property
    def management_url(self) -> str:
        """The administrator's HTTP interface, with user and password."""
        return f"http://{_USER}:{self._password}@{LOOPBACK}:{self.management_port}"

    def url_of(self, vhost: str) -> str:
        return f"amqp://{_USER}:{self._password}@{LOOPBACK}:{self.port}/{quote(vhost, safe='')}"

    def launch(self) -> None:
        """Starts it without waiting (it takes seconds). Does nothing while it runs."""
        if self._beside is None and (self._epmd is None or not self._epmd.running):
            self._epmd = Child("epmd", ["epmd"], env=self._env, log=self.log, user=server_user())
            self._epmd.wait_until(lambda: answers(self._epmd_port), timeout=10.0)
        if self._server is None or not self._server.running:
            self._server = Child(
                "RabbitMQ",
                [self._scripts / "rabbitmq-server"],
                env=self._env,
                log=self.log,
                user=server_user(),
            )

    def wait_ready(self) -> None:
        """Returns when it accepts connections. LaunchFailure when it does not."""
        if self._server is None:
            raise LaunchFailure("RabbitMQ was not started")
        self._server.wait_until(lambda: answers(self.port) and answers(self.management_port), _START_TIMEOUT)
        self.version = server_version(self.amqp_url)
        if self._wiped:
            for name in sorted(self._vhosts):
                self.create_vhost(name)
            self._wiped = False

    def start(self) -> None:
        """Starts it; returns when it accepts connections."""
        self.launch()
        self.wait_ready()

    def stop(self) -> None:
        """Ends the node in order, then its port mapper."""
        if self._server:
            self._server.stop(signal.SIGTERM, timeout=30.0)
        if self._epmd:
            self._epmd.kill()

    @property
    def running(self) -> bool:
        return self._server is not None and self._server.running

    def kill(self) -> None:
        """``SIGKILL`` to the node."""
        if self._server:
            self._server.kill()

    def settle(self) -> None:
        """Writes what was declared to disk at once.

        RabbitMQ 3.10 keeps it in buffers for seconds: killed meanwhile, it forgets a durable queue, or that it leads a
        quorum queue, which then never has a leader again.
        """
        self.ctl("eval", "mnesia:sync_log(), [dets:sync(Table) || Table <- dets:all()].")

    def abandon(self) -> None:
        """Kills the node and its port mapper: the end of one whose data is not needed any more."""
        self.kill()
        if self._epmd:
            self._epmd.kill()

    def wipe(self) -> None:
        """Kills the node and removes all that it knew: exchanges, queues, messages. :meth:`start` it anew."""
        self.kill()
        shutil.rmtree(self._home / "data")
        self._wiped = True

    def pause(self) -> None:
        """Freezes the node: connections stay open, nothing answers."""
        if self._server:
            self._server.pause()

    def resume(self) -> None:
        if self._server:
            self._server.resume()

    def create_vhost(self, name: str) -> str:
        """Creates a virtual host with all rights for the administrator; its AMQP URL.

        It is made anew, empty, when the node starts after :meth:`wipe`: hosts and rights belong to a broker's
        provisioning, which the services rely on, while exchanges and queues are theirs to declare.
        """
        self._vhosts.add(name)
        vhost = quote(name, safe="")
        self._administer("PUT", f"/api/vhosts/{vhost}", {})
        rights = {"configure": ".*", "write": ".*", "read": ".*"}
        self._administer("PUT", f"/api/permissions/{vhost}/{_USER}", rights)
        return self.url_of(name)

    def delete_vhost(self, name: str) -> None:
        """Deletes a virtual host with all that is in it and closes the connections to it."""
        self._vhosts.remove(name)
        self._administer("DELETE", f"/api/vhosts/{quote(name, safe='')}", None)

    def ctl(self, *arguments: str, timeout: float = 180.0) -> str:
        """What ``rabbitmqctl`` prints. It takes a second or two. LaunchFailure when it fails, or takes ``timeout``
        seconds."""
        try:
            done = subprocess.run(
                [self._scripts / "rabbitmqctl", *arguments],
                env=self._env,
                capture_output=True,
                text=True,
                timeout=timeout,
                user=server_user(),
            )
        except subprocess.TimeoutExpired:
            raise LaunchFailure(f"rabbitmqctl {' '.join(arguments)} did not end within {timeout:g} s") from None
        if done.returncode != 0:
            raise LaunchFailure(f"rabbitmqctl {' '.join(arguments)} ended with {done.returncode}: {done.stderr}")
        return done.stdout

    def _administer(self, method: str, path: str, body: object) -> None:
        httpx.request(method, self.management_url + path, json=body, timeout=120.0, trust_env=False).raise_for_status()

    def _write_configuration(self) -> None:
        configuration = _CONFIGURATION.format(
            loopback=LOOPBACK,
            port=self.port,
            user=_USER,
            password=self._password,
            management_port=self.management_port,
        )
        if self._beside is not None:
            configuration += _CLUSTER.format(peer=self._beside.node)
        (self._home / "rabbitmq.conf").write_text(configuration)
        (self._home / "enabled_plugins").write_text("[rabbitmq_management].\n")
        (self._home / ".erlang.cookie").write_text(self._cookie)
        for file in self._home.iterdir():
            file.chmod(0o600)
            if user := server_user():
                shutil.chown(file, user)

    def _environment(
        self, binaries: RabbitMQBinaries, env: Mapping[str, str], distribution_port: int
    ) -> dict[str, str]:
        home = self._home
        # Nothing of the caller's RABBITMQ_* or ERL_* variables may reach the node.
        kept = {k: v for k, v in env.items() if not k.startswith(("RABBITMQ_", "ERL_", "NOTIFY_SOCKET"))}
        return (
            kept
            | {
                "PATH": binaries.path,
                "HOME": str(home),
                "LANG": "C.UTF-8",
                "ERL_EPMD_ADDRESS": LOOPBACK,
                "ERL_EPMD_PORT": str(self._epmd_port),
                "ERL_MAX_PORTS": "65536",
                "RABBITMQ_CONF_ENV_FILE": "/dev/null",
                "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
                "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
                "RABBITMQ_MNESIA_BASE": str(home / "data"),
                "RABBITMQ_GENERATED_CONFIG_DIR": str(home / "generated"),
                "RABBITMQ_LOG_BASE": str(home / "log"),
                "RABBITMQ_LOGS": "-",
                "RABBITMQ_PID_FILE": str(home / "pid"),
                "RABBITMQ_NODENAME": self.node,
                "RABBITMQ_DIST_PORT": str(distribution_port),
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": _ERLANG_ARGUMENTS,
                # The start script becomes the node instead of waiting for it: one process to signal and to
                # die.
                "RUNNING_UNDER_SYSTEMD": "true",
            }
            | ({"ERL_ROOTDIR": str(binaries.erlang)} if binaries.erlang else {})
        )
