"""The processes of a run: services behind proxies, the load, the witness, and the servers that all stand on."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import ssl
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

import aio_pika
import httpx

from deploy.launcher.child import Child
from deploy.launcher.infrastructure import Infrastructure
from deploy.launcher.ports import LOOPBACK, pick
from deploy.launcher.postgres import LocalPostgres
from deploy.launcher.rabbitmq import LocalRabbitMQ
from shared.broker.connection import UNREACHABLE
from tests.chaos.cluster import Cluster
from tests.chaos.proxy import Proxy

ROOT = Path(__file__).parents[2]
READY_WITHIN = 180.0
_TLS = ssl.create_default_context()
"""Never used, and made once: with one for each question, asking whether services are ready takes half a processor from
them while they start."""
FACTORIES = {
    "command": "tests.chaos.services:create_command_app",
    "projector": "tests.chaos.services:create_projector_app",
}


@dataclass
class ServiceProcess:
    """One replica of a service, its own two ways to PostgreSQL and RabbitMQ, and the way of its clients."""

    kind: str
    number: int
    port: int
    clients: Proxy
    database: Proxy
    broker: Proxy
    logs: Path
    settings: Mapping[str, str]
    child: Child | None = None
    _heard: int = 0
    """Bytes of the log that `deaths` has read."""

    @property
    def name(self) -> str:
        return f"{self.kind} {self.number}"

    @property
    def url(self) -> str:
        """Past all proxies."""
        return url_of(self.port)

    def start(self, **more: str) -> None:
        """Without waiting; `more` are environment variables of this life alone."""
        environment = {
            **os.environ,
            "KITHLOG_DATABASE_URL": self.database.url,
            "KITHLOG_AMQP_URL": self.broker.url,
            "KITHLOG_ACCESS_LOG": "false",
            "KITHLOG_LOG_FORMAT": "json",
            **self.settings,
            **more,
        }
        command: list[str | Path] = [sys.executable, "-m", "uvicorn", "--factory", FACTORIES[self.kind]]
        command += ["--host", LOOPBACK, "--port", str(self.port), "--log-level", "warning"]
        self.child = Child(self.name, command, env=environment, log=self.log, cwd=ROOT)

    @property
    def log(self) -> Path:
        return self.logs / f"{self.kind}-{self.number}.log"

    def deaths(self) -> list[str]:
        """The loops that died since this was last asked: an outage is to be waited for, not to be died of."""
        with self.log.open("rb") as log:
            log.seek(self._heard)
            lines = log.read().splitlines(keepends=True)
        # What is still being written, or was cut off by a kill, waits for the next time.
        whole = [line for line in lines if line.endswith(b"\n")]
        self._heard += sum(map(len, whole))
        died = []
        for line in whole:
            with suppress(ValueError):  # a kill leaves half a line, and the next life writes on
                if b'"loop died"' in line:
                    entry = json.loads(line)
                    died.append(f"died: {self.name}'s loop {entry['loop']}: {entry['exception'][0]['exc_type']}")
        return died

    @property
    def running(self) -> Child:
        assert self.child is not None
        return self.child

    def ended_by_itself(self) -> list[str]:
        """To be asked before it is ended and started again, which nothing tells from its own end afterwards."""
        return ended_by_itself(self.running)

    async def kill(self) -> None:
        await asyncio.to_thread(self.running.kill)

    async def ask(self, path: str) -> httpx.Response | None:
        try:
            async with httpx.AsyncClient(trust_env=False, timeout=3, verify=_TLS) as http:
                return await http.get(self.url + path)
        except httpx.TransportError:
            return None

    async def metric(self, name: str) -> float | None:
        """The value of a metric, named with its labels, or, without them, the sum over all; 0 when it has not counted
        yet, None when the service does not answer."""
        answer = await self.ask("/metrics")
        if answer is None:
            return None
        return sum(map(float, re.findall(rf"^kithlog_{re.escape(name)}(?:{{.*}})? (\S+)$", answer.text, re.MULTILINE)))


@dataclass
class Stage:
    """Everything that a fault may befall."""

    postgres: LocalPostgres
    rabbitmq: LocalRabbitMQ
    database_url: str
    """The way to the database itself, past all proxies."""
    amqp_url: str
    """Likewise, to the virtual host; not while there is a cluster in its place."""
    commands: list[ServiceProcess]
    projectors: list[ServiceProcess]
    witness: list[str]
    """The command line of the consumer."""
    clients_broker: Proxy
    """The way of the consumer, and of the load's messages."""
    logs: Path
    stand_by: LocalPostgres | None = None
    cluster: Cluster | None = None
    """The nodes that stand in `rabbitmq`'s place."""
    consumer: Child | None = None
    found: list[str] = field(default_factory=list)
    """What faults saw that must not be."""
    wiped_at: datetime | None = None
    """When the broker came back without anything, last."""

    @property
    def services(self) -> list[ServiceProcess]:
        return [*self.commands, *self.projectors]

    @property
    def ways_to_the_broker(self) -> list[Proxy]:
        return [*(service.broker for service in self.services), self.clients_broker]

    @property
    def ways(self) -> list[Proxy]:
        """All that there are."""
        services = self.services
        return [*(each.clients for each in services), *(each.database for each in services), *self.ways_to_the_broker]

    async def leader(self) -> ServiceProcess:
        """The command service that publishes, once one says so. Raises TimeoutError."""
        async with asyncio.timeout(READY_WITHIN):
            while True:
                for service in self.commands:
                    if await service.metric("relay_leads") == 1:
                        return service
                await asyncio.sleep(0.1)

    async def consumers(self) -> Counter[str]:
        """How many each queue has, those included that wait for their turn. Raises `LaunchFailure`."""
        url = self.cluster.url(0) if self.cluster else self.amqp_url
        node = next(node for node in self.cluster.nodes if node.running) if self.cluster else self.rabbitmq
        return await consumers(node, url)

    async def waiting(self, queue: str) -> int | None:
        """Messages in a queue that no service was handed yet; None when the broker does not say."""
        url = self.cluster.url(0) if self.cluster else self.amqp_url
        with suppress(*UNREACHABLE):
            async with await aio_pika.connect(url, timeout=10) as broker:
                found = await (await broker.channel()).declare_queue(queue, passive=True)
                return found.declaration_result.message_count
        return None

    async def heard(self) -> float | None:
        """How many messages the projectors got, since each was started, also of what they had read from the log by
        then; None when one of them does not answer."""
        told = await asyncio.gather(*(each.metric("messages_total") for each in self.projectors))
        return None if None in told else sum(value for value in told if value is not None)

    def start_witness(self) -> None:
        self.consumer = Child("witness", self.witness, env=os.environ, log=self.logs / "witness.log", cwd=ROOT)

    def start_load(self, *arguments: str) -> Child:
        urls = [service.clients.url for service in self.commands]
        queries = [service.clients.url for service in self.projectors]
        command = [sys.executable, "-m", "tests.chaos.load", self.clients_broker.url, *urls, "--queries", *queries]
        command += arguments
        return Child("load", command, env=os.environ, log=self.logs / "load.log", cwd=ROOT)

    async def ready(self) -> None:
        """Until every service says so. Raises `LaunchFailure`."""
        async with asyncio.timeout(READY_WITHIN):
            for service in self.services:
                while not ((answer := await service.ask("/readyz")) and answer.status_code == 200):
                    if service.running.exit_code is not None:
                        raise service.running.failure("ended by itself")
                    await asyncio.sleep(0.1)


def url_of(port: int) -> str:
    return f"http://{LOOPBACK}:{port}"


def ended_by_itself(child: Child) -> list[str]:
    return [] if child.running else [f"{child.name} ended by itself with {child.exit_code}"]


async def consumers(node: LocalRabbitMQ, amqp_url: str) -> Counter[str]:
    """How many each queue of the URL's virtual host has, those included that wait for their turn: no client is told of
    those. Raises `LaunchFailure`."""
    vhost = unquote(urlsplit(amqp_url).path.removeprefix("/"))
    asked = ("list_consumers", "-p", vhost, "queue_name", "--formatter", "json", "--silent")
    listed = await asyncio.to_thread(node.ctl, *asked)
    return Counter(each["queue_name"] for each in json.loads(listed))


def size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


async def grown_beyond(before: int, file: Path) -> None:
    """Until something has been written. Raises TimeoutError."""
    async with asyncio.timeout(READY_WITHIN):
        while True:
            if size(file) > before:
                return
            await asyncio.sleep(0.05)


@asynccontextmanager
async def stage(
    infra: Infrastructure,
    database_url: str,
    amqp_url: str,
    logs: Path,
    *,
    replicas: int = 2,
    settings: Mapping[str, str] | None = None,
) -> AsyncIterator[Stage]:
    """Services that are ready, and the witness; all ended at the end, in order where they still can.

    `replicas`: of each service; `settings`: environment variables of all of them.
    """
    async with AsyncExitStack() as ends:
        made: dict[str, list[ServiceProcess]] = {"command": [], "projector": []}
        for kind in made:
            for number in range(1, replicas + 1):
                port = pick()
                urls = (url_of(port), database_url, amqp_url)
                clients, database, broker = [await ends.enter_async_context(Proxy(url)) for url in urls]
                service = ServiceProcess(kind, number, port, clients, database, broker, logs, settings or {})
                service.start()
                made[kind].append(service)
        record = logs / "witness.record"
        way = await ends.enter_async_context(Proxy(amqp_url))
        witness = [sys.executable, "-m", "tests.chaos.witness", way.url]
        witness += [*(service.clients.url for service in made["projector"]), "--record", str(record)]
        set_up = Stage(
            infra.postgres,
            infra.rabbitmq,
            database_url,
            amqp_url,
            made["command"],
            made["projector"],
            witness,
            way,
            logs,
        )
        try:
            await set_up.ready()
            set_up.start_witness()
            yield set_up
        finally:
            children = [each.child for each in set_up.services] + [set_up.consumer]
            # All at once: an orderly end of one may wait for what another does.
            await asyncio.gather(
                *(asyncio.to_thread(child.stop, signal.SIGTERM, 10.0) for child in children if child is not None)
            )
