"""Scenarios of an orchestrator on the Python client, for client.rs."""

import argparse
import os
import sys
import uuid

from sparkler_client import (
    Context,
    Delta,
    Limits,
    Restarted,
    Run,
    Sparkler,
    SparklerError,
    Started,
)

parser = argparse.ArgumentParser()
parser.add_argument("--worker")
parser.add_argument("--worker-ca")
parser.add_argument("--timeout", type=float)
parser.add_argument("--traceparent", default=os.environ.get("TRACEPARENT"))
parser.add_argument("scenario", nargs="+")
options = parser.parse_args()

CALL = {"timeout": options.timeout, "traceparent": options.traceparent}
DRAIN = Limits(on_cancel="drain")


def connect() -> Sparkler:
    return Sparkler(
        options.worker,
        ca_file=options.worker_ca,
        model="accounts/fireworks/models/glm-5p3",
        api_key=os.environ["FIREWORKS_API_KEY"],
        context=Context(flow_id="example", run_id="1", node_id="answer"),
    )


client = connect()


def execute(**request) -> Run:
    config = {"temperature": 0.2}
    return client.execute("Why is the sky blue?", **{"config": config, **CALL, **request})


def nodes() -> None:
    """What the worker can execute."""
    for node in client.node_types():
        print(f"{node.name}: {len(node.fields)} fields; {node.description.en}")


def stream() -> None:
    """Text as it comes, then what it took."""
    follow(execute())


def hit() -> None:
    """The same twice, and paid once."""
    follow(execute(cache="read_write"))
    follow(execute(cache="read_write"))


def idempotent() -> None:
    """A run that was asked for again after a crash: the same key, the same answer."""
    key = f"{uuid.uuid4()}/answer"
    follow(execute(idempotency_key=key))
    follow(execute(idempotency_key=key))


def cancel() -> None:
    """Leaving stops the provider, and billing with it."""
    print(f"cancelled after {first_text(execute())!r}")


def failures() -> None:
    """Three executions that fail, each with its reason."""
    attempt(lambda: follow(execute(config={"temprature": 0.2})))
    attempt(lambda: follow(execute(api_key="fw_unknown")))
    attempt(lambda: follow(execute(limits=Limits(total=0.05))))


def resume() -> None:
    """To the end, even if the connection is lost on the way."""
    follow(execute(limits=DRAIN))


def attach() -> None:
    """What one process began another one ends."""
    left = execute(limits=DRAIN)
    print(f"left after {first_text(left)!r}")
    with connect() as other:
        follow(other.attach(left.token, after=left.sequence, **CALL))


def follow(run: Run) -> None:
    for event in run:
        match event:
            case Started(sequence=sequence) if sequence:
                print(f"[attached after event {sequence}]", end="")
            case Delta(text=text):
                print(text, end="", flush=True)
            case Restarted(reason=reason):
                print(f"\n[once more: {reason}]")
    answer = run.answer()
    used, cost = answer.usage, answer.cost
    tokens = ["?" if n is None else n for n in (used.prompt_tokens, used.completion_tokens)]
    print(f"\n  {answer.finish_reason}; tokens: {tokens[0]} in, {tokens[1]} out")
    if cost:
        print(f"  ${cost.spent:.7f} spent, ${cost.saved:.7f} saved")
    calls = f"calls of the provider: {answer.attempts}"
    print(f"  cache: {answer.cache.status.upper()}; {calls}; {(answer.timing.total or 0) * 1000:.0f} ms")


def first_text(run: Run) -> str | None:
    return next(run.text(), None)


def attempt(outcome) -> int:
    """Prints all that is known of a failure; returns the exit code."""
    try:
        outcome()
    except SparklerError as failure:
        report(failure)
        return 1
    return 0


def report(failure: SparklerError) -> None:
    own = failure.domain == "client"
    print(f"{failure.status if own else f'{failure.status} {failure.reason}'}: {failure.message}")
    for violation in failure.violations:
        print(f"  {violation.field}: {violation.description}")
    if not own:
        print(f"  said by {failure.domain}; safe to retry: {str(failure.retryable).lower()}")
    if failure.retry_after is not None:
        print(f"  retry after {failure.retry_after:g} s")
    if failure.spent:
        print(f"  attempts so far: {failure.spent.attempts}")


SCENARIOS = (nodes, stream, hit, idempotent, cancel, failures, resume, attach)


def main() -> None:
    scenarios = {scenario.__name__: scenario for scenario in SCENARIOS}
    for name in options.scenario:
        print(f"# {name}: {scenarios[name].__doc__}")
        scenarios[name]()


if __name__ == "__main__":
    sys.exit(attempt(main))
