"""llama.cpp's server: what callers see is what it says to a request that does not stream."""

from __future__ import annotations

import json
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from harness import PATIENCE, Worker, until

from execution import UNSEEN, Case, Completed, Failed, Target
from gateways import NOTHING_REMEMBERED
from llama_server import CALL_A_TOOL, CALL_TOOLS, KEY, WINDOW
from server import Server, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

MODEL = "tiny"
SCHEMA = {
    "type": "object",
    "properties": {"up": {"type": "boolean"}},
    "required": ["up"],
    "additionalProperties": False,
}
FUNCTION = {"name": "look", "description": "Looks up or down.", "parameters": SCHEMA}
TOOLS = [{"type": "function", "function": FUNCTION}]


@dataclass(frozen=True)
class Answer:
    """A request as a node has it and as the server takes it, and the finish of both."""

    name: str
    finish: str
    config: dict[str, Any]
    body: dict[str, Any]
    schema: dict[str, Any] | None = None
    flags: tuple[str, ...] = ()
    model: str = MODEL

    def __str__(self) -> str:
        return f"{self.name}: {self.finish}"


ANSWERS = [
    Answer("a stream", "length", {"maxTokens": 48}, {"max_tokens": 48}),
    Answer(
        "a whole answer",
        "length",
        {"maxTokens": 48, "streaming": False},
        {"max_tokens": 48},
        flags=("--no-deltas",),
    ),
    Answer(
        "a tool call",
        "tool_calls",
        {"maxTokens": 200, "tools": TOOLS, "toolChoice": "required", "logitBias": CALL_A_TOOL},
        {
            "max_tokens": 200,
            "tools": TOOLS,
            "tool_choice": "required",
            "logit_bias": CALL_A_TOOL,
        },
    ),
    Answer(
        "tool calls, the last cut off by the length",
        "length",
        {"maxTokens": 90, "tools": TOOLS, "toolChoice": "required", "logitBias": CALL_TOOLS},
        {"max_tokens": 90, "tools": TOOLS, "tool_choice": "required", "logit_bias": CALL_TOOLS},
    ),
    Answer(
        "JSON by a schema",
        "stop",
        {"maxTokens": 400},
        {
            "max_tokens": 400,
            "response_format": {"type": "json_schema", "json_schema": {"schema": SCHEMA}},
        },
        schema=SCHEMA,
    ),
    Answer(
        "another model's name, to which its only model answers",
        "length",
        {"maxTokens": 8},
        {"max_tokens": 8},
        model="other",
    ),
]

FAILURES = [
    Case(
        name="a wrong key",
        key="sk-other",
        expect=Failed("CREDENTIAL_REJECTED", safe_to_retry=False),
    ),
    Case(
        name="a prompt beyond the model's window",
        prompt="word " * (WINDOW // 4),
        expect=Failed("CONTEXT_TOO_LONG", safe_to_retry=False),
    ),
    Case(
        name="two choices, of which it makes one",
        config={"n": 2},
        expect=Failed("REQUEST_REJECTED", safe_to_retry=False),
    ),
]
ENDLESS = Case(
    name="a caller that leaves",
    config={"maxTokens": WINDOW},
    flags=("--on-cancel", "abort"),
    expect=Completed(),
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder, port = tmp_path_factory.mktemp("llama"), free_port()
    script = Path(__file__).with_name("llama_server.py")
    with Server([sys.executable, script, port, folder], port, folder) as server:
        yield server


@pytest.fixture(scope="module")
def target(server: Server) -> Iterator[Target]:
    with Worker(server, *NOTHING_REMEMBERED) as worker:
        yield Target(worker, KEY, MODEL)


def send(url: str, body: dict[str, Any] | None = None) -> Any:
    """Sends a request past the worker."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    request = urllib.request.Request(url, data, headers)
    with urllib.request.urlopen(request, timeout=3 * PATIENCE) as response:
        return json.load(response)


def said_directly(server: Server, answer: Answer) -> Completed:
    messages = [{"role": "user", "content": "Say hello."}]
    body = {"messages": messages, "temperature": 0, **answer.body}
    [choice] = send(f"{server.base_url}/chat/completions", body)["choices"]
    message = choice["message"]
    calls = [call["function"] for call in message.get("tool_calls", [])]
    text = message.get("content") or ""
    return Completed(
        choice["finish_reason"],
        text,
        calls=tuple((call["name"], call["arguments"]) for call in calls),
        json=text if answer.schema else "",
    )


@pytest.mark.parametrize("answer", ANSWERS, ids=str)
def test_answer(answer: Answer, target: Target, server: Server, tmp_path: Path) -> None:
    flags = answer.flags
    if answer.schema:
        (tmp_path / "schema.json").write_text(json.dumps(answer.schema))
        flags = (*flags, f"--json-output={tmp_path / 'schema.json'}")
    expect = said_directly(server, answer)
    assert expect.finish == answer.finish
    config = {"temperature": 0, **answer.config}
    case = Case(name=answer.name, model=answer.model, config=config, flags=flags, expect=expect)
    assert target.outcome(case) == expect
    print(expect)


@pytest.mark.parametrize("case", FAILURES, ids=str)
def test_failure(case: Case, target: Target) -> None:
    assert target.outcome(case) == case.expect


def test_a_check_does_not_guess(target: Target) -> None:
    assert target.verdicts() == UNSEEN


def test_a_caller_that_leaves_frees_the_slot(target: Target, server: Server) -> None:
    def free() -> bool | None:
        slots = send(server.base_url.removesuffix("/v1") + "/slots")
        return None if any(slot["is_processing"] for slot in slots) else True

    assert target.cancel_after_first_delta(ENDLESS) == 130
    until(free, lambda: "a slot without a task")
