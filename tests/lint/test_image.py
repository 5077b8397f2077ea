"""What the image's file says, tried without building it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

DOCKERFILE = Path(__file__).parents[2] / "deploy" / "Dockerfile"
NOWHERE = "http://127.0.0.1:1"


class Healthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def service() -> Iterator[ThreadingHTTPServer]:
    """Answers at `/healthz` alone."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Healthy) as server:
        Thread(target=server.serve_forever).start()
        yield server
        server.shutdown()


def looks(port: int) -> int:
    """The exit code of the image's look at its health, in a container that is told of a proxy."""
    found = re.search(r"CMD (\[\"python\", .*healthz.*\])", DOCKERFILE.read_text("utf-8"))
    assert found
    _, *arguments = json.loads(found[1].replace(":8000/", f":{port}/"))
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), NOWHERE)
    return subprocess.run([sys.executable, *arguments], env=proxies, stderr=subprocess.DEVNULL).returncode


def test_a_proxy_makes_no_service_unhealthy(service: ThreadingHTTPServer) -> None:
    """Given a container that is told of a proxy, then its own service is asked directly; one that is not there is
    found missing."""
    assert looks(service.server_port) == 0
    service.server_close()
    assert looks(service.server_port) != 0
