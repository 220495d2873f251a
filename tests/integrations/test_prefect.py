"""The Prefect flow, on Prefect's own temporary server."""

from __future__ import annotations

import pytest
from prefect.testing.utilities import prefect_test_harness
from sparkler_client import RefusedError


@pytest.fixture(scope="module", autouse=True)
def server():
    with prefect_test_harness(server_startup_timeout=120):
        yield


@pytest.fixture
def flow(simulator, module):
    return module("prefect.md", "sparkler_flow.py")


def test_a_flow_asks_a_node(flow, simulator, worker) -> None:
    assert flow.answer("Why?")
    [line] = worker.logged()
    assert line["flow_id"] == "answer"
    assert line["node_id"].startswith("execute_node")


def test_what_may_succeed_is_tried_again(flow, simulator) -> None:
    simulator.script({"faults": [{"refuse": {"status": 500}}], "times": 3})
    assert flow.answer("Why?")


def test_what_cannot_succeed_is_not_tried_again(flow, simulator, worker, monkeypatch) -> None:
    monkeypatch.setattr(flow, "MODEL", "accounts/fireworks/models/none")
    with pytest.raises(RefusedError, match="MODEL_NOT_FOUND"):
        flow.answer("Why?")
    assert len(worker.logged()) == 1
