"""What can be wrong with RabbitMQ, by AMQP, and, where its management API is given, what only that can tell."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from urllib.parse import quote, unquote, urlsplit

import httpx
from aio_pika import Message
from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import (
    AuthenticationError,
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
    ProbableAuthenticationError,
)
from aiormq.exceptions import ChannelAccessRefused

from services.cli.findings import Finding, ok
from shared.broker import topology
from shared.broker.connection import UNREACHABLE, connect, told_as_lost
from shared.broker.topology import TOPOLOGY, QueueSpec

_MQ = "rabbitmq"
_PATIENCE = 3.0
"""Seconds for a confirm: a healthy broker takes milliseconds, one under an alarm never answers."""
_DECLARES = "restart the command service: it declares what is missing"


async def look_at_broker(amqp_url: str, management_url: str | None) -> list[Finding]:
    try:
        connection = await connect(amqp_url, "doctor")
    except (AuthenticationError, ProbableAuthenticationError) as error:
        return [Finding(_MQ, "connection", "wrong", str(error), "correct user, password and virtual host in "
                        "KITHLOG_AMQP_URL")]  # fmt: skip
    except UNREACHABLE as error:
        return [Finding(_MQ, "connection", "away", str(error) or type(error).__name__,
                        "start RabbitMQ, or correct KITHLOG_AMQP_URL")]  # fmt: skip
    found = [_version(connection)]
    try:
        with told_as_lost():
            for exchange in TOPOLOGY.exchanges:
                found += await _exchange(connection, exchange.name)
            for queue in TOPOLOGY.queues:
                found.append(await _queue(connection, queue))
            found.append(await _alarm(amqp_url))
    except UNREACHABLE as error:  # what was found till then is told all the same
        found.append(Finding(_MQ, "connection", "away", f"was lost: {error!r}", "see the broker's log"))
    finally:
        await _close(connection)
    return found + await _by_management(amqp_url, management_url)


def _version(connection: AbstractConnection) -> Finding:
    properties = connection.transport.connection.server_properties if connection.transport else {}
    return ok(_MQ, "version", str(properties.get("version", "unknown")))


async def _exchange(connection: AbstractConnection, name: str) -> list[Finding]:
    what = f"exchange {name}"
    try:
        async with connection.channel() as channel:
            await channel.declare_exchange(name, passive=True)
    except ChannelNotFoundEntity:
        return [Finding(_MQ, what, "wrong", "is missing", _DECLARES)]
    except ChannelAccessRefused as error:
        return [_denied(what, error)]
    return []


def _denied(what: str, error: ChannelAccessRefused) -> Finding:
    """What one check may not look at keeps no other from telling."""
    return Finding(_MQ, what, "unknown", str(error), "look as a user who may read, write and configure it")


async def _queue(connection: AbstractConnection, spec: QueueSpec) -> Finding:
    what = f"queue {spec.name}"
    try:
        async with connection.channel() as channel:
            there = await channel.declare_queue(spec.name, passive=True)
    except ChannelNotFoundEntity:
        return Finding(_MQ, what, "wrong", "is missing", _DECLARES)
    except ChannelAccessRefused as error:
        return _denied(what, error)
    try:
        async with connection.channel() as channel:
            await channel.declare_queue(spec.name, durable=True, arguments=dict(spec.arguments))
    except ChannelPreconditionFailed as error:
        return Finding(_MQ, what, "wrong", f"was declared otherwise: {error}",
                       "drain it, delete it, and restart the command service")  # fmt: skip
    except ChannelAccessRefused as error:
        return _denied(what, error)
    messages = there.declaration_result.message_count or 0
    consumers = there.declaration_result.consumer_count or 0
    counted = f"{messages} messages, {consumers} consumers"
    if spec.name == topology.DEAD_COMMANDS and messages:
        return Finding(_MQ, what, "look", f"{messages} commands could not be executed", "kithlog dead list")
    if spec.name == topology.PROJECTOR and not consumers:
        return Finding(_MQ, what, "look", f"nobody listens, {counted}", "start a projector")
    if spec.name == topology.COMMANDS and not consumers:
        return Finding(
            _MQ, what, "look", f"nobody listens, {counted}", "start a command service with KITHLOG_INTAKE on"
        )
    return ok(_MQ, what, counted)


async def _alarm(amqp_url: str) -> Finding:
    """Under a memory or disk alarm nothing that is published is confirmed: tried on a queue of our own."""
    connection = await connect(amqp_url, "doctor alarm")
    try:
        channel = connection.channel(publisher_confirms=True)
        await channel.initialize()
        queue = await channel.declare_queue(exclusive=True)
        async with asyncio.timeout(_PATIENCE):
            await channel.default_exchange.publish(Message(b"doctor"), queue.name)
    except TimeoutError:
        return Finding(_MQ, "publishing", "wrong", f"not confirmed within {_PATIENCE:g} s: a memory or disk alarm",
                       "free disk or memory on the broker (rabbitmq-diagnostics alarms); events wait in the log, "
                       "nothing is lost")  # fmt: skip
    except UNREACHABLE as error:
        return Finding(_MQ, "publishing", "wrong", f"failed: {error}", "see the broker's log")
    finally:
        await _close(connection)
    return ok(_MQ, "publishing", "is confirmed: no alarm")


async def _by_management(amqp_url: str, url: str | None) -> list[Finding]:
    if url is None:
        return [Finding(_MQ, "bindings", "unknown", "AMQP does not tell them",
                        "give KITHLOG_MANAGEMENT_URL, such as http://user:password@host:15672")]  # fmt: skip
    vhost = quote(unquote(urlsplit(amqp_url).path[1:]) or "/", safe="")
    try:
        async with httpx.AsyncClient(base_url=url.rstrip("/"), timeout=10, trust_env=False) as client:
            bindings = (await client.get(f"/api/bindings/{vhost}")).raise_for_status().json()
            alarms = (await client.get("/api/health/checks/alarms")).json().get("alarms", ())
    except httpx.HTTPStatusError as error:  # whose own words have the password in them
        return [Finding(_MQ, "management", "look", f"answers HTTP {error.response.status_code}",
                        "correct KITHLOG_MANAGEMENT_URL: its user may need the tag management")]  # fmt: skip
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        return [Finding(_MQ, "management", "look", f"{type(error).__name__}: {error}",
                        "correct KITHLOG_MANAGEMENT_URL, or enable rabbitmq_management")]  # fmt: skip
    there = {(each["source"], each["destination"], each["routing_key"]) for each in bindings}
    found = [
        Finding(_MQ, f"binding {each.exchange} → {each.queue}", "wrong", f"is missing ({each.routing_key})", _DECLARES)
        for each in TOPOLOGY.bindings
        if (each.exchange, each.queue, each.routing_key) not in there
    ]
    found += [
        Finding(_MQ, f"{each['resource']} alarm", "wrong", f"on {each['node']}: publishing is blocked",
                f"free {each['resource']} there, or set another limit")
        for each in alarms
    ]  # fmt: skip
    return found or [ok(_MQ, "bindings", f"all {len(TOPOLOGY.bindings)} there, no alarm")]


async def _close(connection: AbstractConnection) -> None:
    # Under an alarm the broker does not read from a connection that has published, not even its farewell.
    with suppress(*UNREACHABLE), told_as_lost():
        await asyncio.wait_for(connection.close(), timeout=1)
