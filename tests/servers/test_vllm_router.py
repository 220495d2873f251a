"""vllm-router between the worker and the provider: it hands through what it gets."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from harness import Worker

from execution import Case, Failed, Target
from front import Front
from gateways import ANSWERS, ENDLESS, FAILURES, NOTHING_REMEMBERED, broken_off
from server import BIN, Server, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness import Simulator

TABLE = [
    *ANSWERS,
    *FAILURES,
    *broken_off("STREAM_INTERRUPTED"),
    Case(
        name="a key that the provider does not know",
        key="fw_unknown",
        expect=Failed("CREDENTIAL_REJECTED", safe_to_retry=False),
    ),
]


def start(upstream: str, folder: Path) -> Server:
    port = free_port()
    command = [BIN / "vllm-router", "--host", "127.0.0.1", "--port", port]
    command += ["--prometheus-port", free_port(), "--policy", "round_robin"]
    command += ["--disable-retries", "--disable-circuit-breaker", "--worker-urls", upstream]
    return Server(command, port, folder)


@pytest.fixture(scope="module")
def target(provider: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    address = urlsplit(provider.base_url)
    with (
        Front(address.hostname, address.port) as front,
        start(front.url, tmp_path_factory.mktemp("vllm-router")) as server,
        Worker(server, *NOTHING_REMEMBERED) as worker,
    ):
        yield Target(worker, "fw_router")


@pytest.mark.parametrize("case", TABLE, ids=str)
def test_outcome(case: Case, target: Target, simulator: Simulator) -> None:
    if case.upstream:
        simulator.script({"faults": list(case.upstream)})
    assert target.outcome(case) == case.expect


def test_a_check_has_the_verdict_of_the_provider(target: Target, simulator: Simulator) -> None:
    assert target.verdicts() == {"config": "yes", "credential": "yes", "model": "yes"}
    report = simulator.report()
    assert report["calls"] == report["refused"], "a check has run a model"


def test_a_caller_that_leaves_ends_the_call(target: Target, simulator: Simulator) -> None:
    simulator.script({"faults": list(ENDLESS.upstream)})
    assert target.cancel_after_first_delta(ENDLESS) == 130
    simulator.wait_for(aborted=1, in_flight=0)
