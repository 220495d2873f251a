"""The provider as vllm-router expects an engine of vLLM's to be.

The router waits for `GET /health`, and adds sampling fields of vLLM's to every request,
which Fireworks, and so the simulator, refuses.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
from concurrent.futures import Future

from harness import PATIENCE, carry
from typing_extensions import Self

HEALTHY = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
OF_VLLM = {
    "continue_final_message",
    "include_reasoning",
    "no_stop_trim",
    "return_hidden_states",
    "separate_reasoning",
    "skip_special_tokens",
    "stream_reasoning",
    "use_beam_search",
}


class Front:
    def __init__(self, host: str, port: int) -> None:
        self._provider = host, port
        self._ready: Future[str] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self.url = self._ready.result(PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._done.set)
        self._thread.join(PATIENCE)

    async def _serve(self) -> None:
        self._loop, self._done = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self._ready.set_result("http://{}:{}".format(*server.sockets[0].getsockname()))
        await self._done.wait()
        server.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            if head.startswith("GET /health "):
                writer.write(HEALTHY)
            else:
                await self._forward(await fireworks_request(head, reader), reader, writer)
        except asyncio.IncompleteReadError:
            pass  # A connection that the router had opened and did not use.
        finally:
            writer.close()

    async def _forward(
        self, request: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Copies both ways until either side ends, so that each sees the other's end."""
        answers, provider = await asyncio.open_connection(*self._provider)
        provider.write(request)
        both = carry(reader, provider, None), carry(answers, writer, None)
        tasks = [asyncio.ensure_future(one) for one in both]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        provider.close()


async def fireworks_request(head: str, reader: asyncio.StreamReader) -> bytes:
    """Reads the body; returns the request without vLLM's fields, on a connection of its own."""
    length = re.search(r"^content-length: *(\d+)\r$", head, re.IGNORECASE | re.MULTILINE)
    body = json.loads(await reader.readexactly(int(length[1]))) if length else {}
    kept = json.dumps({name: body[name] for name in body if name not in OF_VLLM}).encode()
    lines = [line for line in head.split("\r\n") if line]
    owned = ("content-length:", "connection:")
    lines = [line for line in lines if not line.lower().startswith(owned)]
    lines += [f"content-length: {len(kept)}", "connection: close", "", ""]
    return "\r\n".join(lines).encode("latin-1") + kept
