"""LangChain's Fireworks integration, against the simulator.

Run with the simulator's origin, such as http://127.0.0.1:8080, as argument.
"""

import sys

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_fireworks import ChatFireworks
from pydantic import BaseModel

ORIGIN = sys.argv[1]


class Person(BaseModel):
    """Somebody."""

    name: str
    age: int


@tool
def weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


def chat(model, **more):
    # The integration is built on the official SDK, which adds `/v1` itself.
    return ChatFireworks(
        model=f"accounts/simulator/models/{model}",
        api_key="fw_test",
        base_url=f"{ORIGIN}/inference",
        max_retries=0,
        **more,
    )


def whole_and_streamed():
    for model in ("plain", "reasoning", "think-tags"):
        whole = chat(model).invoke("Say hello")
        assert "Say hello" in whole.content, whole
        assert whole.usage_metadata["output_tokens"] > 10, whole
        streamed = None
        for chunk in chat(model).stream("Say hello"):
            streamed = chunk if streamed is None else streamed + chunk
        assert streamed.content == whole.content, (streamed, whole)
        assert streamed.usage_metadata == whole.usage_metadata, (streamed, whole)


def tools():
    model = chat("plain").bind_tools([weather], tool_choice="any")
    asked = model.invoke("What is it like outside?")
    (call,) = asked.tool_calls
    assert call["name"] == "weather" and call["args"]["city"], asked
    streamed = None
    for chunk in model.stream("What is it like outside?"):
        streamed = chunk if streamed is None else streamed + chunk
    assert streamed.tool_calls[0]["args"] == call["args"], streamed
    turns = [
        HumanMessage("What is it like outside?"),
        asked,
        ToolMessage(weather.invoke(call["args"]), tool_call_id=call["id"]),
    ]
    assert chat("plain").bind_tools([weather]).invoke(turns).content


def structured():
    for method in ("function_calling", "json_schema"):
        person = chat("plain").with_structured_output(Person, method=method).invoke("Who is it?")
        assert isinstance(person, Person), (method, person)


def main():
    for check in (whole_and_streamed, tools, structured):
        check()
        print("ok", check.__name__)


main()
