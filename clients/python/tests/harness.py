"""A worker and a simulated provider, as processes of their own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import subprocess
import threading
import time
import urllib.request
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typing_extensions import Self

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[3]
PROGRAM = Path(os.environ.get("SPARKLER_BINARY", ROOT / "target/debug/sparkler"))
PATIENCE = 20.0

# Proxies of the machine are not for the loopback.
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"


class Process:
    """A command of the program, with what it has printed so far."""

    def __init__(self, *arguments: object) -> None:
        self.lines: list[str] = []
        self._process = subprocess.Popen(
            [PROGRAM, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()

    def find(self, pattern: str) -> str:
        """Waits for a line that fits, and returns its group."""

        def found() -> str | None:
            matches = (re.search(pattern, line) for line in list(self.lines))
            return next((match[1] for match in matches if match), None)

        return until(found, lambda: f"{pattern} in {self.lines}")

    def _read(self) -> None:
        assert self._process.stdout
        self.lines.extend(iter(self._process.stdout.readline, ""))
        self._process.stdout.close()


class Simulator(Process):
    """A local Fireworks, whose answers and faults a test scripts."""

    def __init__(self, *arguments: object) -> None:
        instant = ("--first-token", "0ms", "--tokens-per-second", "0")
        super().__init__("simulate", "--listen", "127.0.0.1:0", *instant, *arguments)
        self.base_url = self.find(r"(http://127\.0\.0\.1:\d+/inference/v1)")
        self._control = self.base_url.removesuffix("/inference/v1") + "/simulator"

    def script(self, *rules: dict[str, Any]) -> None:
        self._send("POST", "/reset")
        self._send("DELETE", "/faults")
        self._send("POST", "/faults", list(rules))

    def report(self) -> dict[str, Any]:
        report: dict[str, Any] = self._send("GET", "/report")
        return report

    def wait_for(self, **counts: int) -> dict[str, Any]:
        def reached() -> dict[str, Any] | None:
            report = self.report()
            return report if counts.items() <= report.items() else None

        return until(reached, lambda: f"{counts} in {self.report()}")

    def _send(self, method: str, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._control + path, data=data, method=method)
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            text = response.read()
        return json.loads(text) if text else None


class Worker(Process):
    """A worker of a simulator."""

    def __init__(self, simulator: Simulator, *arguments: object) -> None:
        anywhere = ("--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")
        upstream = ("--fireworks-base-url", simulator.base_url)
        super().__init__("serve", *anywhere, *upstream, "--log-format", "json", *arguments)
        self.address = self.find(r'"listen":"(127\.0\.0\.1:[1-9]\d*)"')
        self.url = f"http://{self.address}"

    def logged(self, count: int = 1) -> list[dict[str, Any]]:
        """Waits for the lines of so many calls."""

        def calls() -> list[dict[str, Any]] | None:
            lines = [json.loads(line) for line in list(self.lines) if '"reason":' in line]
            return lines if len(lines) >= count else None

        return until(calls, lambda: f"{count} calls in {self.lines}")


class Link:
    """A port that leads to a worker, and loses its first connection after so many bytes."""

    def __init__(self, address: str, cut_after: int) -> None:
        self.connections = 0
        self._worker = address.split(":")
        self._cut_after = cut_after
        self._ready: Future[str] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    def __enter__(self) -> Self:
        self._thread.start()
        self.url = self._ready.result(PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._done.set)
        self._thread.join()

    async def _serve(self) -> None:
        self._loop, self._done = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self._ready.set_result("http://{}:{}".format(*server.sockets[0].getsockname()))
        await self._done.wait()
        server.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        left = self._cut_after if self.connections == 1 else None
        from_worker, to_worker = await asyncio.open_connection(*self._worker)
        both = [carry(reader, to_worker, None), carry(from_worker, writer, left)]
        tasks = [asyncio.ensure_future(one) for one in both]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        to_worker.close()
        writer.close()


async def carry(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, left: int | None
) -> None:
    """Copies until either side ends, or so many bytes have gone over."""
    with contextlib.suppress(OSError):
        while (left is None or left > 0) and (data := await reader.read(4096)):
            writer.write(data[:left])
            await writer.drain()
            left = None if left is None else left - len(data)


def until(found: Callable[[], Any], wanted: Callable[[], str]) -> Any:
    """Waits until there is something."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if (result := found()) is not None:
            return result
        time.sleep(0.01)
    raise AssertionError(f"waited {PATIENCE:g} s for {wanted()}")


def says(*texts: str) -> dict[str, Any]:
    """A rule: these deltas."""
    return {"answer": {"deltas": list(texts)}}


def calls(name: str, **arguments: object) -> dict[str, Any]:
    """A rule: a tool call."""
    text = json.dumps(arguments, ensure_ascii=False)
    return {"answer": {"tool_calls": [{"name": name, "arguments": [text]}]}}
