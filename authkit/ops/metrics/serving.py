"""Serve metrics, liveness and readiness over HTTP: /metrics, /live, /ready."""

from __future__ import annotations

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from authkit.errors import InvalidInput
from authkit.ops.health import Health

LOOPBACK = "127.0.0.1"
PORT = 9187


class MetricsServer(ThreadingHTTPServer):
    """A server of metrics; it tells health as well, and nothing else.

    Args:
        registry: what is shown under /metrics.
        health: finds out how the service is.
        host: where to listen; anything but loopback shows it to the network.
        port: on which port; 0 is any.

    Raises:
        InvalidInput: the address cannot be listened on.
    """

    daemon_threads = True

    def __init__(
        self,
        registry: CollectorRegistry,
        health: Callable[[], Health],
        *,
        host: str = LOOPBACK,
        port: int = PORT,
    ) -> None:
        self.registry = registry
        self.health = health
        try:
            super().__init__((host, port), _Handler)
        except OSError as exc:
            raise InvalidInput(
                f"cannot listen on {host}:{port}: {exc.strerror}"
            ) from exc

    @property
    def url(self) -> str:
        """Where it is reached."""
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}"


class _Handler(BaseHTTPRequestHandler):
    server_version = "authkit"
    sys_version = ""
    server: MetricsServer  # pyright: ignore[reportIncompatibleVariableOverride] # it is made by that server alone

    def do_GET(self) -> None:
        """Answer one request."""
        if self.path == "/metrics":
            self._send(200, CONTENT_TYPE_LATEST, generate_latest(self.server.registry))
        elif self.path in {"/live", "/ready"}:
            health = self.server.health()
            said = health.liveness if self.path == "/live" else health.readiness
            body = json.dumps(said.body).encode() + b"\n"
            self._send(said.status, "application/json", body)
        else:
            self._send(404, "text/plain", b"/metrics, /live, /ready\n")

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 # its name there
        """Say nothing: a scrape every few seconds is no news."""
