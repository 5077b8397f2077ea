"""A broker of three nodes on this machine: quorum queues live on all of them, and one leads each queue."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from deploy.launcher.folders import RunFolder, cache_folder
from deploy.launcher.rabbitmq import LocalRabbitMQ
from deploy.launcher.rabbitmq_binaries import find_rabbitmq

SIZE = 3


@dataclass(frozen=True)
class Cluster:
    """The nodes, and the virtual host on them that is used."""

    nodes: list[LocalRabbitMQ]
    vhost: str

    def url(self, number: int) -> str:
        """The virtual host at the n-th node; numbers go round."""
        return self.nodes[number % len(self.nodes)].url_of(self.vhost)

    def leader(self, queue: str) -> LocalRabbitMQ:
        """The node that leads a quorum queue. Raises LookupError when none does."""
        for node in self.nodes:
            if node.running:
                listed = node.ctl("list_queues", "-p", self.vhost, "name", "leader", "--formatter", "json", "--silent")
                leader = {each["name"]: each["leader"] for each in json.loads(listed)}.get(queue)
                found = [node for node in self.nodes if node.node == leader]
                if found:
                    return found[0]
        raise LookupError(f"no node leads {queue}")


@contextmanager
def cluster(run: RunFolder, vhost: str) -> Iterator[Cluster]:
    """Three nodes that have found each other, with a virtual host of this name; ended at the end."""
    binaries = find_rabbitmq(os.environ, cache_folder(os.environ))
    with ExitStack() as ends:
        nodes: list[LocalRabbitMQ] = []
        for _ in range(SIZE):
            node = LocalRabbitMQ(binaries, run, os.environ, beside=nodes[0] if nodes else None, name="cluster")
            ends.callback(node.abandon)
            node.start()  # one after the other: each joins those that are there
            # Ports are opened before the node has told the others that it is there; a virtual host is made on all.
            node.ctl("await_startup")
            nodes.append(node)
        nodes[0].ctl("await_online_nodes", str(SIZE))
        nodes[0].create_vhost(vhost)
        yield Cluster(nodes, vhost)
