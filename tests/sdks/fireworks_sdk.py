"""The official Fireworks SDK for Python, against the simulator.

Run with the simulator's origin, such as http://127.0.0.1:8080, as argument.
"""

import json
import sys

from fireworks import Fireworks, AuthenticationError, BadRequestError, NotFoundError, RateLimitError

ORIGIN = sys.argv[1]
REASONING = "accounts/simulator/models/reasoning"
PLAIN = "accounts/simulator/models/plain"
HELLO = [{"role": "user", "content": "Say hello"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city",
        "parameters": {
            "type": "object",
            "required": ["city"],
            "properties": {"city": {"type": "string"}},
        },
    },
}


def chat_whole(client):
    reply = client.chat.completions.create(model=REASONING, messages=HELLO, temperature=0.2)
    message = reply.choices[0].message
    assert "Say hello" in message.content, message
    assert message.reasoning_content, message
    assert reply.choices[0].finish_reason == "stop"
    assert reply.id.startswith("chatcmpl-")
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens


def chat_streamed(client):
    whole = client.chat.completions.create(model=REASONING, messages=HELLO)
    text, reasoning, usage, finish = "", "", None, None
    for chunk in client.chat.completions.create(model=REASONING, messages=HELLO, stream=True):
        usage = chunk.usage or usage
        for choice in chunk.choices:
            text += choice.delta.content or ""
            reasoning += choice.delta.reasoning_content or ""
            finish = choice.finish_reason or finish
    assert text == whole.choices[0].message.content
    assert reasoning == whole.choices[0].message.reasoning_content
    assert finish == "stop" and usage.completion_tokens == whole.usage.completion_tokens


def tools(client):
    asked = dict(model=PLAIN, messages=HELLO, tools=[WEATHER], tool_choice="required")
    call = client.chat.completions.create(**asked).choices[0].message.tool_calls[0]
    assert call.function.name == "weather"
    assert json.loads(call.function.arguments)["city"]
    name, arguments = "", ""
    for chunk in client.chat.completions.create(**asked, stream=True):
        for choice in chunk.choices:
            for part in choice.delta.tool_calls or []:
                name += part.function.name or ""
                arguments += part.function.arguments or ""
    assert (name, arguments) == ("weather", call.function.arguments)
    result = {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
    turn = {
        "role": "assistant",
        "tool_calls": [
            {"id": call.id, "type": "function",
             "function": {"name": "weather", "arguments": call.function.arguments}},
        ],
    }
    after = client.chat.completions.create(
        model=PLAIN, messages=[*HELLO, turn, result], tools=[WEATHER]
    )
    assert after.choices[0].message.content and after.choices[0].finish_reason == "stop"


def structured(client):
    schema = {
        "type": "object",
        "required": ["name", "age"],
        "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    }
    reply = client.chat.completions.create(
        model=PLAIN,
        messages=HELLO,
        response_format={"type": "json_schema", "json_schema": {"name": "person", "schema": schema}},
    )
    person = json.loads(reply.choices[0].message.content)
    assert isinstance(person["name"], str) and isinstance(person["age"], int), person


def completions(client):
    whole = client.completions.create(model=PLAIN, prompt="Once upon a time", max_tokens=20)
    assert whole.choices[0].finish_reason == "length"
    assert whole.usage.completion_tokens == 20
    streamed = client.completions.create(
        model=PLAIN, prompt="Once upon a time", max_tokens=20, stream=True
    )
    text = "".join(choice.text for chunk in streamed for choice in chunk.choices)
    assert text == whole.choices[0].text


def errors(client):
    for error, ask in [
        (AuthenticationError, lambda: client.copy(api_key="fw_unknown").chat.completions.create(
            model=PLAIN, messages=HELLO)),
        (NotFoundError, lambda: client.chat.completions.create(model="nope", messages=HELLO)),
        (BadRequestError, lambda: client.chat.completions.create(
            model=PLAIN, messages=HELLO, extra_body={"best_of": 2})),
        (RateLimitError, lambda: client.chat.completions.create(
            model=PLAIN, messages=[{"role": "user", "content": "please be rate limited"}])),
    ]:
        try:
            ask()
        except error:
            continue
        raise AssertionError(f"no {error.__name__}")


def main():
    # With the base URL overridden the SDK leaves `/inference` out; both ways in
    # have to work.
    for base_url in (ORIGIN, f"{ORIGIN}/inference"):
        client = Fireworks(api_key="fw_test", base_url=base_url, max_retries=0)
        for check in (chat_whole, chat_streamed, tools, structured, completions, errors):
            check(client)
            print("ok", base_url, check.__name__)


main()
