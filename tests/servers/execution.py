"""`sparkler execute --events`, and the events that it has printed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness import PATIENCE, PROGRAM

if TYPE_CHECKING:
    from harness import Worker

MODEL = "accounts/fireworks/models/glm-5p3"
# Whether a gateway knows a key and a model cannot be seen without running the model.
UNSEEN = {"config": "yes", "credential": "unknown", "model": "unknown"}


@dataclass(frozen=True)
class Completed:
    """The one choice of the answer, without the ids of its tool calls."""

    finish: str = "stop"
    text: str = ""
    reasoning: str = ""
    calls: tuple[tuple[str, str], ...] = ()
    json: str = ""

    def __str__(self) -> str:
        said = [self.reasoning, self.text, *(f"{name}({given})" for name, given in self.calls)]
        return f"{self.finish} {' | '.join(filter(None, said))}"


@dataclass(frozen=True)
class Failed:
    """The reason, whether the same request may be sent again, and the text before it."""

    reason: str
    safe_to_retry: bool
    after: str = ""

    def __str__(self) -> str:
        safe = "safe" if self.safe_to_retry else "not safe"
        return f"{self.reason}, {safe} to retry" + (f", after {self.after!r}" if self.after else "")


@dataclass(frozen=True, kw_only=True)
class Case:
    """One request through a server, and its outcome."""

    name: str
    expect: Completed | Failed
    upstream: tuple[dict[str, Any], ...] = ()
    prompt: str = "Say hello."
    model: str | None = None
    key: str | None = None
    config: dict[str, Any] = field(default_factory=dict)
    flags: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}: {self.expect}"


@dataclass(frozen=True)
class Target:
    """A worker in front of a server, and the key and model that the server knows."""

    worker: Worker
    key: str
    model: str = MODEL

    def start(self, case: Case) -> subprocess.Popen[str]:
        """Starts a caller; the prompt goes over stdin, which no size limits."""
        command = [PROGRAM, "execute", "--worker", self.worker.url, "--events", "--quiet"]
        command += ["--model", case.model or self.model, "--config", json.dumps(case.config)]
        return subprocess.Popen(
            [*command, *case.flags, "-"],
            env={**os.environ, "FIREWORKS_API_KEY": case.key or self.key},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def outcome(self, case: Case) -> Completed | Failed:
        caller = self.start(case)
        try:
            stdout, stderr = caller.communicate(case.prompt, timeout=3 * PATIENCE)
        finally:
            caller.kill()
        events = [json.loads(line) for line in stdout.splitlines()]
        if caller.returncode == 0:
            return completed(events, whole="--no-deltas" in case.flags)
        return failed(events, stderr)

    def verdicts(self) -> dict[str, str]:
        """Returns what `sparkler check` says of each subject."""
        run = subprocess.run(
            [PROGRAM, "check", "--worker", self.worker.url, "--model", self.model],
            env={**os.environ, "FIREWORKS_API_KEY": self.key},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        print(run.stdout, run.stderr)
        rows = [line.split() for line in run.stdout.splitlines()]
        return {row[0]: row[1] for row in rows if row[1:] and row[1] in {"yes", "no", "unknown"}}

    def cancel_after_first_delta(self, case: Case) -> int:
        """Interrupts the caller as soon as output has come; returns its exit code."""
        caller = self.start(case)
        try:
            assert caller.stdin
            assert caller.stdout
            caller.stdin.write(case.prompt)
            caller.stdin.close()
            assert any('"delta"' in line for line in caller.stdout), "no output came"
            caller.send_signal(signal.SIGINT)
            return caller.wait(PATIENCE)
        finally:
            caller.kill()
            caller.wait()


def failed(events: list[dict[str, Any]], stderr: str) -> Failed:
    found = re.search(r"^([A-Z_]+): .*^  safe to \w+: (yes|no)", stderr, re.DOTALL | re.MULTILINE)
    assert found, stderr
    print(stderr)
    text, _, _ = streamed(events)
    return Failed(found[1], found[2] == "yes", text)


def completed(events: list[dict[str, Any]], *, whole: bool) -> Completed:
    """Reads the last event; unless it comes whole, the deltas before it add up to it."""
    end = events[-1]["completed"]
    [choice] = end["choices"]
    calls = choice.get("toolCalls", [])
    answer = Completed(
        choice["finishReason"],
        choice.get("text", ""),
        choice.get("reasoning", ""),
        tuple((call["name"], call["arguments"]) for call in calls),
        choice.get("json", ""),
    )
    if not whole:
        assert streamed(events) == (answer.text, answer.reasoning, list(answer.calls))
    assert all(call["id"] for call in calls)
    assert len({call["id"] for call in calls}) == len(calls)
    usage = {name: int(count) for name, count in end["usage"].items()}
    assert usage["promptTokens"] > 0
    assert usage["totalTokens"] == usage["promptTokens"] + usage["completionTokens"]
    return answer


def streamed(events: list[dict[str, Any]]) -> tuple[str, str, list[tuple[str, str]]]:
    """Adds up the deltas: text, reasoning, and each call's name and arguments."""
    deltas = [event["delta"] for event in events if "delta" in event]
    calls: dict[int, tuple[str, str]] = {}
    for part in (part for delta in deltas for part in delta.get("toolCalls", [])):
        name, arguments = calls.get(part.get("index", 0), ("", ""))
        more = name + part.get("name", ""), arguments + part.get("arguments", "")
        calls[part.get("index", 0)] = more
    text, reasoning = (
        "".join(delta.get(name, "") for delta in deltas) for name in ("text", "reasoning")
    )
    return text, reasoning, [calls[index] for index in sorted(calls)]
