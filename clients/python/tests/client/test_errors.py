"""Failures, by what to do about them."""

from __future__ import annotations

import pickle
import uuid

import pytest
from harness import Simulator, Worker, says
from sparkler_client import (
    AsyncSparkler,
    InvalidRequestError,
    Limits,
    NotFoundError,
    OutputError,
    RateLimitError,
    RefusedError,
    Sparkler,
    SparklerError,
    TimedOutError,
    UnavailableError,
)

MODEL = "accounts/fireworks/models/glm-5p3"


@pytest.fixture
def client(worker: Worker):
    with Sparkler(worker.url, model=MODEL, api_key=f"fw_{uuid.uuid4()}") as client:
        yield client


def failure_of(client: Sparkler, kind: type[SparklerError], **options) -> SparklerError:
    with pytest.raises(kind) as raised:
        client.execute("Why?", **options).answer()
    again = pickle.loads(pickle.dumps(raised.value))
    assert type(again) is type(raised.value)
    assert (str(again), again.spent) == (str(raised.value), raised.value.spent)
    return raised.value


def test_every_wrong_field_is_named(client: Sparkler) -> None:
    config = {"temprature": 0.2, "topP": 7}
    error = failure_of(client, InvalidRequestError, config=config)
    assert error.reason == "INVALID_NODE_CONFIG"
    assert {v.field for v in error.violations} == {"config.temprature", "config.topP"}
    assert not error.retryable


def test_an_unknown_node_is_an_invalid_request(client: Sparkler) -> None:
    assert failure_of(client, InvalidRequestError, node="nope").reason == "UNKNOWN_NODE_TYPE"


def test_a_key_with_another_request_is_an_invalid_request(client: Sparkler) -> None:
    client.execute("First.", idempotency_key="k").answer()
    error = failure_of(client, InvalidRequestError, idempotency_key="k")
    assert error.reason == "IDEMPOTENCY_MISMATCH"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"api_key": "fw_unknown"}, "CREDENTIAL_REJECTED"),
        ({"api_key": "fw_unpaid"}, "BILLING_REQUIRED"),
        ({"api_key": "fw_suspended"}, "ACCOUNT_SUSPENDED"),
        ({"api_key": "fw_forbidden"}, "MODEL_FORBIDDEN"),
        ({"model": "accounts/fireworks/models/none"}, "MODEL_NOT_FOUND"),
    ],
)
def test_a_refusal_says_what_to_settle(client: Sparkler, options, reason) -> None:
    error = failure_of(client, RefusedError, **options)
    assert (error.reason, error.domain) == (reason, "fireworks.ai")
    assert not error.retryable


def test_a_rate_limit_says_how_long_to_wait(client: Sparkler, simulator: Simulator) -> None:
    refusal = {"refuse": {"status": 429, "headers": {"retry-after": "2"}}}
    simulator.script({"faults": [refusal]})
    error = failure_of(client, RateLimitError, limits=Limits(max_attempts=1))
    assert error.reason == "PROVIDER_RATE_LIMITED"
    assert error.retryable
    assert error.retry_after == pytest.approx(2, abs=1)


def test_a_failure_says_what_it_spent(client: Sparkler, simulator: Simulator) -> None:
    simulator.script({"faults": [{"stall": {"after_deltas": 0}}]})
    error = failure_of(client, TimedOutError, limits=Limits(total=0.2))
    assert error.reason == "TOTAL_TIMEOUT"
    assert error.spent
    assert error.spent.attempts == 1
    assert error.spent.timing.total
    assert error.metadata["safe_to_retry"] == "true"


def test_a_cut_stream_is_unavailable(client: Sparkler, simulator: Simulator) -> None:
    simulator.script({"faults": [says("one ", "two"), {"cut": {"after_deltas": 1}}]})
    error = failure_of(client, UnavailableError, limits=Limits(max_attempts=1))
    assert error.reason == "STREAM_INTERRUPTED"
    assert error.retryable


def test_what_is_not_json_is_shown(client: Sparkler, simulator: Simulator) -> None:
    simulator.script({"faults": [says("Not JSON.")]})
    error = failure_of(client, OutputError, json=True)
    assert error.reason == "OUTPUT_NOT_JSON"
    assert isinstance(error, OutputError)
    assert error.text == "Not JSON."


def test_what_is_not_cached_is_not_found(client: Sparkler) -> None:
    assert failure_of(client, NotFoundError, cache="only_if_cached").reason == "NOT_CACHED"


def test_a_token_that_nobody_knows_is_not_found(client: Sparkler) -> None:
    with pytest.raises(NotFoundError):
        client.attach("nothing").answer()


async def test_errors_are_the_same_async(worker: Worker) -> None:
    async with AsyncSparkler(worker.url, model=MODEL, api_key="fw_unknown") as client:
        with pytest.raises(RefusedError, match="CREDENTIAL_REJECTED: "):
            await client.execute("Why?").answer()
        verdicts = {f.subject: f.verdict for f in await client.check()}
    assert verdicts["credential"] == "no"
