"""What an orchestrator does with a worker, one scenario after the other.

    sparkler simulate &
    sparkler serve --fireworks-base-url http://127.0.0.1:50080/inference/v1 &
    FIREWORKS_API_KEY=fw_local python example.py stream hit cancel failures attach
"""

import argparse
import asyncio
import os
import sys
import uuid
from datetime import timedelta
from pathlib import Path

from sparkler_client import Execution, Failure, Sparkler, api

parser = argparse.ArgumentParser(description="What an orchestrator does with a worker.")
parser.add_argument("--worker", default=os.environ.get("SPARKLER_WORKER", "http://127.0.0.1:50051"))
parser.add_argument("--worker-ca", type=Path, help="certificates to trust, for https")
parser.add_argument("--model", default="accounts/fireworks/models/glm-5p3")
parser.add_argument("--prompt", default="Why is the sky blue?")
parser.add_argument("--timeout", type=float, help="seconds, for each execution")
parser.add_argument("--traceparent", default=os.environ.get("TRACEPARENT"), help="the W3C trace")


def request(options, **fields) -> api.ExecuteNodeRequest:
    """A node as a flow would have it."""
    return api.ExecuteNodeRequest(
        **{
            "node_type": "chatFireworks",
            "config": {"modelName": options.model, "temperature": 0.2},
            "prompt": options.prompt,
            "credential": api.Credential(api_key=os.environ.get("FIREWORKS_API_KEY", "fw_local")),
            "context": api.ExecutionContext(flow_id="example", run_id="1", node_id="answer"),
            **fields,
        }
    )


CACHED = api.CachePolicy(mode=api.CachePolicy.MODE_READ_WRITE)
DRAIN = api.ExecutionLimits(on_cancel=api.ExecutionLimits.ON_CANCEL_DRAIN)


async def nodes(worker: Sparkler, _) -> None:
    """What the worker can execute."""
    for node in await worker.node_types():
        print(f"{node.name}: {len(node.fields)} fields; {node.description.en}")


async def stream(worker: Sparkler, options) -> None:
    """Text as it comes, then what it took."""
    await follow(execute(worker, options))


async def hit(worker: Sparkler, options) -> None:
    """The same twice, and paid once."""
    await follow(execute(worker, options, cache=CACHED))
    await follow(execute(worker, options, cache=CACHED))


async def idempotent(worker: Sparkler, options) -> None:
    """A run that was asked for again after a crash: the same key, the same answer."""
    key = f"{uuid.uuid4()}/answer"  # the flow's run, and the node in it
    await follow(execute(worker, options, idempotency_key=key))
    await follow(execute(worker, options, idempotency_key=key))


async def cancel(worker: Sparkler, options) -> None:
    """Leaving stops the provider, and billing with it."""
    async with execute(worker, options) as execution:
        async for response in execution:
            if response.delta.text:
                print(f"cancelled after {response.delta.text!r}")
                break


async def failures(worker: Sparkler, options) -> None:
    """Three executions that fail, each with its reason."""
    misspelt = {"modelName": options.model, "temprature": 0.2}
    refused = api.Credential(api_key="fw_unknown")
    for execution in (
        execute(worker, options, config=misspelt),
        execute(worker, options, credential=refused),
        execute(worker, options, limits=api.ExecutionLimits(total=timedelta(milliseconds=50))),
    ):
        try:
            await follow(execution)
        except Failure as failure:
            tell(failure)


async def resume(worker: Sparkler, options) -> None:
    """To the end, even if the connection is lost on the way."""
    await follow(execute(worker, options, limits=DRAIN))


async def attach(worker: Sparkler, options) -> None:
    """What one process began another one ends."""
    async with execute(worker, options, limits=DRAIN) as execution:
        async for response in execution:
            if response.delta.text:
                print(f"left after {response.delta.text!r}")
                break
    seen = api.AttachExecutionRequest(
        execution_token=execution.started.execution_token,
        after_sequence=execution.last_sequence,
    )
    async with connect(options) as other:
        await follow(other.attach(seen, timeout=options.timeout))


def execute(worker: Sparkler, options, **fields) -> Execution:
    return worker.execute(
        request(options, **fields), timeout=options.timeout, traceparent=options.traceparent
    )


async def follow(execution: Execution) -> None:
    """Prints an execution as it comes, then what it took."""
    async with execution:
        async for response in execution:
            match response.WhichOneof("event"):
                case "started" if response.sequence > 0:
                    print(f"[attached after event {response.sequence}]", end="")
                case "delta":
                    print(response.delta.text, end="", flush=True)
                case "restarted":
                    print(f"\n[once more: {response.restarted.reason}]")
    completed = execution.completed
    tokens_in = known(completed.usage, "prompt_tokens")
    tokens_out = known(completed.usage, "completion_tokens")
    cache = api.CacheStatus.Name(completed.cache.status).removeprefix("CACHE_STATUS_")
    print(f"\n  {completed.choices[0].finish_reason}; tokens: {tokens_in} in, {tokens_out} out")
    if completed.HasField("cost"):  # a model whose price is not known has none
        spent, saved = completed.cost.spent_nanodollars, completed.cost.saved_nanodollars
        print(f"  {dollars(spent)} spent, {dollars(saved)} saved")
    print(f"  cache: {cache}; calls of the provider: {completed.attempts}", end="")
    print(f"; {completed.timing.total.ToMilliseconds()} ms")


def tell(failure: Failure) -> None:
    """Prints all that is known of a failure."""
    print(failure)
    for field, description in failure.violations:
        print(f"  {field}: {description}")
    if failure.domain:
        print(f"  said by {failure.domain}; safe to retry: {str(failure.safe_to_retry).lower()}")
    if failure.retry_after is not None:
        print(f"  retry after {failure.retry_after.total_seconds():g} s")
    if failure.detail is not None:
        print(f"  attempts so far: {failure.detail.attempts}")


def known(message, field: str) -> str:
    """What the provider did not say is absent, and not 0."""
    return str(getattr(message, field)) if message.HasField(field) else "?"


def dollars(nanodollars: int) -> str:
    return f"${nanodollars / 1e9:.7f}"


def connect(options) -> Sparkler:
    roots = options.worker_ca.read_bytes() if options.worker_ca else None
    return Sparkler(options.worker, roots=roots)


SCENARIOS = {
    scenario.__name__: scenario
    for scenario in (nodes, stream, hit, idempotent, cancel, failures, resume, attach)
}
parser.add_argument("scenario", nargs="+", choices=SCENARIOS)


async def main() -> int:
    options = parser.parse_args()
    async with connect(options) as worker:
        try:
            for name in options.scenario:
                print(f"# {name}: {SCENARIOS[name].__doc__}")
                await SCENARIOS[name](worker, options)
        except Failure as failure:
            tell(failure)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
