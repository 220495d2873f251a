"""The Temporal activity, in Temporal's own environment for activities."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from conftest import MODEL


@pytest.fixture
def activity(simulator, module):
    return module("temporal.md", "sparkler_activity.py").execute_node


def environment(run_id: str, attempt: int = 1) -> ActivityEnvironment:
    env = ActivityEnvironment()
    env.info = dataclasses.replace(env.info, workflow_run_id=run_id, attempt=attempt)
    return env


async def test_a_second_attempt_is_not_paid_again(activity, simulator, worker) -> None:
    first = environment("run-1")
    beats: list[object] = []
    first.on_heartbeat = lambda *details: beats.append(details)
    answer = await first.run(activity, MODEL, "Why?")
    assert answer == await environment("run-1", attempt=2).run(activity, MODEL, "Why?")
    assert beats
    assert simulator.report()["calls"] == 1
    assert {line["run_id"] for line in worker.logged(2)} == {"run-1"}


async def test_a_cancelled_activity_stops_the_provider(activity, simulator) -> None:
    simulator.script({"faults": [{"stall": {"after_deltas": 1}}]})
    env = environment("run-2")
    running = asyncio.create_task(env.run(activity, MODEL, "Forever?"))
    await asyncio.to_thread(simulator.wait_for, stalled=1)
    env.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await asyncio.to_thread(simulator.wait_for, aborted=1)


async def test_temporal_learns_whether_to_retry(activity) -> None:
    with pytest.raises(ApplicationError) as failure:
        await environment("run-3").run(activity, "accounts/fireworks/models/none", "Why?")
    assert failure.value.type == "MODEL_NOT_FOUND"
    assert failure.value.non_retryable


async def test_temporal_learns_how_long_to_wait(activity, simulator) -> None:
    refusal = {"refuse": {"status": 429, "headers": {"retry-after": "1"}}}
    simulator.script({"faults": [refusal]})
    with pytest.raises(ApplicationError) as failure:
        await environment("run-4").run(activity, MODEL, "Why?")
    assert failure.value.type == "PROVIDER_RATE_LIMITED"
    assert not failure.value.non_retryable
    assert failure.value.next_retry_delay
