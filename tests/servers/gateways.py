"""What is the same behind every gateway: the answers and failures of the provider."""

from __future__ import annotations

import json

from harness import calls, says

from execution import Case, Completed, Failed

# Each case stands alone: a refused key is not refused in the next case too.
NOTHING_REMEMBERED = "--negative-cache-ttl", "0s"

LOOK = {
    "type": "function",
    "function": {
        "name": "look",
        "description": "Looks at a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
ZURICH = json.dumps({"city": "Zürich"}, ensure_ascii=False)
TWO_CALLS = {"answer": {"tool_calls": [{"name": "look", "arguments": ['{"city": ', '"Ulm"}']}] * 2}}
THOUGHT = {"answer": {"reasoning": ["Let me ", "think."], "deltas": ["Four", "."]}}
# LiteLLM holds the first deltas back.
HALF = "One ", "half ", "of ", "this ", "answer ", "is ", "never ", "sent."

ANSWERS = [
    Case(
        name="a stream, characters of four bytes in pieces",
        upstream=(says("Grüße ", "aus ", "Zürich 🏔"), {"shred": {"bytes": 3}}),
        expect=Completed(text="Grüße aus Zürich 🏔"),
    ),
    Case(
        name="a whole answer",
        upstream=(says("One ", "piece."),),
        flags=("--no-deltas",),
        config={"streaming": False},
        expect=Completed(text="One piece."),
    ),
    Case(
        name="reasoning before the answer",
        upstream=(THOUGHT,),
        expect=Completed(text="Four.", reasoning="Let me think."),
    ),
    Case(
        name="an answer cut off by its length",
        upstream=(says("Too "), {"finish_reason": "length"}),
        expect=Completed("length", text="Too "),
    ),
    Case(
        name="a tool call",
        upstream=(calls("look", city="Zürich"),),
        config={"tools": [LOOK]},
        expect=Completed("tool_calls", calls=(("look", ZURICH),)),
    ),
    Case(
        name="two calls of one tool, in fragments",
        upstream=(TWO_CALLS,),
        config={"tools": [LOOK]},
        expect=Completed("tool_calls", calls=(("look", '{"city": "Ulm"}'),) * 2),
    ),
    Case(
        name="JSON",
        upstream=(says('{"a":', " [1]}"),),
        flags=("--json-output",),
        expect=Completed(text='{"a": [1]}', json='{"a": [1]}'),
    ),
    Case(
        name="prose where JSON was asked for",
        upstream=(says("Here ", "you are."),),
        flags=("--json-output",),
        expect=Failed("OUTPUT_NOT_JSON", safe_to_retry=False, after="Here you are."),
    ),
]

FAILURES = [
    Case(
        name="a model that the provider does not have",
        model="accounts/fireworks/models/none",
        expect=Failed("MODEL_NOT_FOUND", safe_to_retry=False),
    ),
    Case(
        name="a prompt beyond the model's window",
        prompt="word " * 1_100_000,
        expect=Failed("CONTEXT_TOO_LONG", safe_to_retry=False),
    ),
    Case(
        name="a rate limit",
        upstream=({"refuse": {"status": 429, "headers": {"retry-after": "1"}}},),
        flags=("--max-attempts", "1"),
        expect=Failed("PROVIDER_RATE_LIMITED", safe_to_retry=True),
    ),
    Case(
        name="an overloaded provider",
        upstream=({"refuse": {"status": 503}},),
        flags=("--max-attempts", "1"),
        expect=Failed("PROVIDER_UNAVAILABLE", safe_to_retry=True),
    ),
]

BREAKS = {
    "an error inside the stream": {"stream_error": {"after_deltas": 4, "message": "engine died"}},
    "a connection that breaks inside the answer": {"cut": {"after_deltas": 4}},
}
# Not a stall: some gateways see that the caller has left when they next have output for it.
ENDLESS = Case(
    name="a caller that leaves",
    upstream=(says(*["word "] * 1000), {"slow_deltas": {"delay": "50ms"}}),
    flags=("--on-cancel", "abort"),
    expect=Completed(),
)


def broken_off(reason: str) -> list[Case]:
    """Returns the streams that break, with the reason that a gateway gives for it."""
    expect = Failed(reason, safe_to_retry=True, after="One half of this ")
    return [
        Case(name=name, upstream=(says(*HALF), fault), flags=("--max-attempts", "1"), expect=expect)
        for name, fault in BREAKS.items()
    ]
