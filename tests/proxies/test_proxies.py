"""Calls through the proxies of docs/operations.md, by the settings of examples/proxies."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from harness import PATIENCE, ROOT, Simulator, Worker, says, until
from sparkler_client import Delta, InvalidRequestError, Sparkler

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SETTINGS = ROOT / "examples/proxies"
MODEL = "accounts/fireworks/models/glm-5p3"
# Times of the settings are an hour or a minute; here a silence is to be longer than they are.
SILENCE = 3.0
COMMANDS = {
    "nginx.conf": ("nginx", "-g", "daemon off; pid {folder}/pid; error_log stderr;", "-c"),
    "haproxy.cfg": ("haproxy", "-db", "-f"),
}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@contextlib.contextmanager
def proxy(name: str, worker: str, folder: Path) -> Iterator[str]:
    """Runs a proxy by its example, with these addresses and short times."""
    listen = f"127.0.0.1:{free_port()}"
    text = (SETTINGS / name).read_text()
    given = {"127.0.0.1:8080": listen, "127.0.0.1:50051": worker, " 1h": " 2s", " 60s": " 2s"}
    for written, used in given.items():
        assert written in text or written.startswith(" "), written
        text = text.replace(written, used)
    file = folder / name
    file.write_text(text)
    command = [part.format(folder=folder) for part in COMMANDS[name]]
    with subprocess.Popen([*command, file]) as process:
        try:
            until(lambda: accepts(listen), lambda: f"{name} listens")
            yield f"http://{listen}"
        finally:
            process.terminate()


def accepts(address: str) -> bool:
    host, port = address.split(":")
    with contextlib.suppress(OSError), socket.create_connection((host, int(port)), 1):
        return True
    return False


@pytest.fixture(scope="module")
def provider() -> Iterator[Simulator]:
    with Simulator() as simulator:
        yield simulator


@pytest.fixture(scope="module", params=list(COMMANDS))
def through(
    request: pytest.FixtureRequest, provider: Simulator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sparkler]:
    """A client whose calls pass through a proxy."""
    folder = tmp_path_factory.mktemp("proxy")
    with (
        Worker(provider, "--progress-interval", "1s", "--max-input-bytes", "2MiB") as worker,
        proxy(request.param, worker.address, folder) as url,
        Sparkler(url, model=MODEL, api_key="fw_proxies") as client,
    ):
        yield client


@pytest.fixture
def simulator(provider: Simulator) -> Simulator:
    provider.script()
    return provider


def test_deltas_come_while_the_answer_is_written(through: Sparkler, simulator: Simulator) -> None:
    simulator.script(
        {"faults": [says("one ", "two ", "three"), {"slow_deltas": {"delay": "500ms"}}]}
    )
    with through.execute("Count") as run:
        times = [time.monotonic() for event in run if isinstance(event, Delta) and event.text]
    assert len(times) == 3
    assert times[-1] - times[0] > 0.7, "a proxy that buffers hands them over together"


def test_a_silence_longer_than_the_proxys_times_is_no_end(
    through: Sparkler, simulator: Simulator
) -> None:
    simulator.script({"faults": [{"slow_first_token": {"delay": f"{SILENCE}s"}}]})
    began = time.monotonic()
    assert through.execute("Think").answer().text
    assert time.monotonic() - began >= SILENCE


def test_a_refusal_arrives_with_all_its_details(through: Sparkler) -> None:
    wrong = {f"field{number}": number for number in range(100)}
    with pytest.raises(InvalidRequestError) as refused:
        through.execute("Hi", config=wrong).answer()
    assert refused.value.reason == "INVALID_NODE_CONFIG"
    assert len(refused.value.violations) > 1


def test_leaving_reaches_the_provider(through: Sparkler, simulator: Simulator) -> None:
    simulator.script({"faults": [says("one ", "two "), {"stall": {"after_deltas": 1}}]})
    with through.execute("Hi") as run:
        next(event for event in run if isinstance(event, Delta))
    simulator.wait_for(aborted=1)


def test_large_requests_and_answers_pass(through: Sparkler, simulator: Simulator) -> None:
    text = "a long answer " * 100_000
    simulator.script({"faults": [says(text)]})
    prompt = "a long question " * 60_000
    assert through.execute(prompt).answer().text == text
    with pytest.raises(InvalidRequestError) as refused:
        through.execute("x" * 3_000_000).answer()
    assert "at most 2097152" in str(refused.value), refused.value


def test_many_calls_share_a_connection(through: Sparkler, simulator: Simulator) -> None:
    simulator.script({"faults": [{"slow_first_token": {"delay": "500ms"}}]})
    runs = [through.execute(f"Hi {number}") for number in range(100)]
    for run in runs:
        run.__enter__()
    began = time.monotonic()
    assert all(run.answer().text for run in runs)
    assert time.monotonic() - began < PATIENCE
