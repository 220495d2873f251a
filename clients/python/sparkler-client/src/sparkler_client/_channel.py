"""How a worker is reached: its address, TLS, and what makes the caller known."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import grpc
import grpc.aio

if TYPE_CHECKING:
    from types import ModuleType

Metadata = tuple[tuple[str, str], ...]

DEFAULT_URL = "http://127.0.0.1:50051"
DEFAULT_PORT = 50051

SERVICE_CONFIG = (files("sparkler_client._gen") / "service_config.json").read_text()

OPTIONS: list[tuple[str, str | int]] = [
    # Retries what a worker refused before it did anything; spreads calls over a fleet.
    ("grpc.service_config", SERVICE_CONFIG),
    ("grpc.max_receive_message_length", 256 << 20),
    # A connection that died in silence is noticed within 40 seconds.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.primary_user_agent", f"sparkler-python/{version('sparkler-client')}"),
]


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A worker, or the fleet of workers behind one name."""

    url: str
    token: str | None = field(default=None, repr=False)
    token_file: Path | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None

    def __post_init__(self) -> None:
        address = urlsplit(self.url)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise ValueError(f"{self.url}: a worker's URL is http://HOST:PORT, or https:// for TLS")
        if address.username or address.path.strip("/") or address.query:
            raise ValueError("a worker's URL has a host and a port, and nothing else")
        tls_files = self.ca_file or self.cert_file or self.key_file
        if tls_files and address.scheme == "http":
            raise ValueError(f"{tls_files} is for an https worker, not for {self.url}")
        if bool(self.cert_file) != bool(self.key_file):
            raise ValueError("a client certificate needs both cert_file and key_file")

    @classmethod
    def from_environment(
        cls, url: str | None, token: str | None, **paths: str | os.PathLike[str] | None
    ) -> Endpoint:
        """Fills what is not given from the variables that `sparkler execute` reads, too."""
        read = os.environ
        named = {
            "token_file": "SPARKLER_WORKER_TOKEN_FILE",
            "ca_file": "SPARKLER_WORKER_CA",
            "cert_file": "SPARKLER_WORKER_CERT",
            "key_file": "SPARKLER_WORKER_KEY",
        }
        if token or paths.get("token_file"):
            named.pop("token_file")
        else:
            token = read.get("SPARKLER_WORKER_TOKEN")
        chosen = {name: paths.get(name) or read.get(named.get(name, "")) for name in paths}
        known = {name: Path(path) for name, path in chosen.items() if path}
        return cls(url=url or read.get("SPARKLER_WORKER") or DEFAULT_URL, token=token, **known)

    def open(self, grpc_module: ModuleType) -> Any:
        """Opens a channel with `grpc` or `grpc.aio`; nothing is sent yet."""
        address = urlsplit(self.url)
        host = f"[{address.hostname}]" if ":" in (address.hostname or "") else address.hostname
        target = f"dns:///{host}:{address.port or DEFAULT_PORT}"
        if address.scheme == "http":
            return grpc_module.insecure_channel(target, OPTIONS)
        return grpc_module.secure_channel(target, self._tls(), OPTIONS)

    def _tls(self) -> grpc.ChannelCredentials:
        def read(path: Path | None) -> bytes | None:
            return path.read_bytes() if path else None

        return grpc.ssl_channel_credentials(
            root_certificates=read(self.ca_file),
            private_key=read(self.key_file),
            certificate_chain=read(self.cert_file),
        )

    def metadata(self, traceparent: str | None) -> Metadata:
        """Returns what each call carries beside its request.

        A token file is read for every call, so that a rotated token counts at once.
        """
        token = self.token_file.read_text().strip() if self.token_file else self.token
        known_by: Metadata = (("authorization", f"Bearer {token}"),) if token else ()
        return (*known_by, *((("traceparent", traceparent),) if traceparent else active_span()))


class Channel:
    """One channel for all threads, opened when it is first needed: not before a fork."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._lock = Lock()
        self._channel: grpc.Channel | None = None

    def __reduce__(self) -> tuple[type[Channel], tuple[Endpoint]]:
        return Channel, (self._endpoint,)  # a copy of a client has a channel of its own

    def get(self) -> grpc.Channel:
        """Returns the channel."""
        with self._lock:
            channel = self._channel = self._channel or self._endpoint.open(grpc)
            return channel

    def close(self) -> None:
        """Closes the channel; the next call opens another."""
        with self._lock:
            channel, self._channel = self._channel, None
        if channel:
            channel.close()


class LoopChannels:
    """A channel for each event loop, since those of asyncio belong to one.

    Not a weak map: a channel holds its loop, and would keep its own entry alive.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._lock = Lock()
        self._channels: dict[asyncio.AbstractEventLoop, grpc.aio.Channel] = {}

    def __reduce__(self) -> tuple[type[LoopChannels], tuple[Endpoint]]:
        return LoopChannels, (self._endpoint,)

    def get(self) -> grpc.aio.Channel:
        """Returns the running loop's channel, and lets go of those whose loops are closed."""
        loop = asyncio.get_running_loop()
        with self._lock:
            for closed in [other for other in self._channels if other.is_closed()]:
                del self._channels[closed]
            if loop not in self._channels:
                self._channels[loop] = self._endpoint.open(grpc.aio)
            return self._channels[loop]

    async def close(self) -> None:
        """Closes the running loop's channel; the next call opens another."""
        with self._lock:
            channel = self._channels.pop(asyncio.get_running_loop(), None)
        if channel:
            await channel.close()


def active_span() -> Metadata:
    """Returns the headers of OpenTelemetry's active span, where it is in use.

    Its own instrumentation of gRPC adds them itself.
    """
    if "opentelemetry.instrumentation.grpc" in sys.modules:
        return ()
    if "opentelemetry.trace" not in sys.modules:
        return ()
    carrier: dict[str, str] = {}
    import_module("opentelemetry.propagate").inject(carrier)
    return tuple((name.lower(), value) for name, value in carrier.items())
