"""Promises of the chat model that the standard tests do not cover."""

from __future__ import annotations

import asyncio
import copy
import json

import pytest
from harness import Simulator, Worker, calls, says
from langchain_core.load import dumps
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_sparkler import ChatSparkler
from pydantic import BaseModel
from sparkler_client import Context, InvalidRequestError, OutputError, Sparkler

MODEL = "accounts/fireworks/models/glm-5p3"
REASONING = "accounts/simulator/models/reasoning"
ENDLESS = {"faults": [says("one ", "two ", "three"), {"stall": {"after_deltas": 2}}]}


class Price(BaseModel):
    """A price."""

    amount: float
    currency: str


@pytest.fixture
def model(worker: Worker) -> ChatSparkler:
    return ChatSparkler(model=MODEL, api_key="fw_langchain", worker=worker.url)


def merged(chunks: list[AIMessageChunk]) -> AIMessageChunk:
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    return whole


@pytest.mark.parametrize("streamed", [False, True])
def test_a_message_says_what_it_took(worker: Worker, simulator: Simulator, streamed: bool) -> None:
    model = ChatSparkler(model=REASONING, api_key="fw_langchain", worker=worker.url)
    asked = "Why is the sky blue?"
    message = merged(list(model.stream(asked))) if streamed else model.invoke(asked)
    assert message.additional_kwargs["reasoning_content"]
    assert any(block["type"] == "reasoning" for block in message.content_blocks)
    usage = message.usage_metadata
    assert usage
    assert usage["output_token_details"]["reasoning"] > 0
    assert usage["input_token_details"]["cache_read"] == 0
    metadata = message.response_metadata
    assert metadata["model_name"] == REASONING
    assert metadata["model_provider"] == "fireworks"
    assert metadata["finish_reason"] == "stop"
    assert metadata["sparkler"]["cache"] == "disabled"
    assert metadata["sparkler"]["attempts"] == 1


def test_a_repeat_comes_from_the_worker_s_cache(worker: Worker, simulator: Simulator) -> None:
    options = {"api_key": "fw_langchain", "worker": worker.url}
    model = ChatSparkler(model=MODEL, worker_cache="read_write", **options)
    first, again = (model.invoke("The same?") for _ in range(2))
    assert first.content == again.content
    assert again.response_metadata["sparkler"]["cache"] == "hit"
    assert again.response_metadata["sparkler"]["spent_usd"] == 0
    assert simulator.report()["calls"] == 1


def test_a_hit_s_tool_calls_are_whole(worker: Worker, simulator: Simulator) -> None:
    simulator.script({"faults": [calls("look", where="under the bed")]})
    options = {"api_key": "fw_langchain", "worker": worker.url}
    model = ChatSparkler(model=MODEL, worker_cache="read_write", **options).bind_tools([look])
    for _ in range(2):
        message = merged(list(model.stream("Where is the cat?")))
        assert message.tool_calls[0]["args"] == {"where": "under the bed"}


def test_broken_arguments_are_an_invalid_call(model: ChatSparkler, simulator: Simulator) -> None:
    broken = {"answer": {"tool_calls": [{"name": "look", "arguments": ['{"where": ']}]}}
    simulator.script({"faults": [broken]})
    message = model.bind_tools([look]).invoke("Where?")
    assert not message.tool_calls
    assert message.invalid_tool_calls[0]["args"] == '{"where": '
    answered = ToolMessage("Say it again.", tool_call_id=message.invalid_tool_calls[0]["id"])
    simulator.script()
    model.invoke([HumanMessage("Where?"), message, answered])
    sent = simulator.report()["requests"][0]["body"]["messages"]
    arguments = sent[1]["tool_calls"][0]["function"]["arguments"]
    assert json.loads(arguments) == {"invalid_json": '{"where": '}


def look(where: str) -> str:
    """Look somewhere."""
    return where


def test_history_keeps_its_reasoning(model: ChatSparkler, simulator: Simulator) -> None:
    said = AIMessage("A cat.", additional_kwargs={"reasoning_content": "It purrs."})
    model.invoke([HumanMessage("What is it?"), said, HumanMessage("Sure?")])
    sent = simulator.report()["requests"][0]["body"]["messages"]
    assert sent[1]["reasoning_content"] == "It purrs."


def test_blocks_that_the_provider_does_not_take_are_refused(model: ChatSparkler) -> None:
    file = {"type": "file", "base64": "AAAA", "mime_type": "application/pdf", "filename": "a.pdf"}
    with pytest.raises(ValueError, match="Fireworks takes text and images"):
        model.invoke([HumanMessage([file])])


def test_structured_output_is_checked_by_the_worker(
    model: ChatSparkler, simulator: Simulator
) -> None:
    simulator.script({"faults": [says('{"amount": 2.5, ', '"currency": "EUR"}')]})
    price = model.with_structured_output(Price).invoke("How much?")
    assert price == Price(amount=2.5, currency="EUR")
    sent = simulator.report()["requests"][0]["body"]["response_format"]
    assert sent["json_schema"]["schema"]["required"] == ["amount", "currency"]
    simulator.script({"faults": [says('{"amount": "much"}')]})
    with pytest.raises(OutputError, match="OUTPUT_SCHEMA_MISMATCH"):
        model.with_structured_output(Price).invoke("How much?")


def test_raw_structured_output_keeps_what_cannot_be_parsed(
    model: ChatSparkler, simulator: Simulator
) -> None:
    simulator.script({"faults": [says('{"amount": "much"}')]})
    how = {"method": "json_mode", "include_raw": True}
    answer = model.with_structured_output(Price, **how).invoke("How much?")
    assert answer["parsed"] is None
    assert answer["parsing_error"]
    assert json.loads(answer["raw"].content) == {"amount": "much"}


def test_leaving_the_stream_stops_the_provider(model: ChatSparkler, simulator: Simulator) -> None:
    simulator.script(ENDLESS)
    for _ in model.stream("Forever?"):
        break
    simulator.wait_for(aborted=1)


async def test_a_cancelled_task_stops_the_provider(
    model: ChatSparkler, simulator: Simulator
) -> None:
    simulator.script(ENDLESS)
    task = asyncio.create_task(model.ainvoke("Forever?"))
    await asyncio.to_thread(simulator.wait_for, stalled=1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.to_thread(simulator.wait_for, aborted=1)


def test_the_place_in_the_flow_reaches_the_worker(worker: Worker, simulator: Simulator) -> None:
    model = ChatSparkler(
        model=MODEL, api_key="fw_langchain", worker=worker.url, context=Context(flow_id="support")
    )
    model.invoke("Where?", {"metadata": {"langgraph_node": "agent", "thread_id": "t-1"}})
    [line] = worker.logged()
    assert line["flow_id"] == "support"
    assert line["node_id"] == "agent"


def test_a_wrong_field_is_named(model: ChatSparkler) -> None:
    with pytest.raises(InvalidRequestError) as failure:
        model.bind(temprature=1).invoke("Why?")
    assert [v.field for v in failure.value.violations] == ["config.temprature"]


def test_a_client_can_be_shared(worker: Worker, simulator: Simulator) -> None:
    with Sparkler(worker.url) as client:
        models = [ChatSparkler(model=MODEL, api_key="fw_a", client=client) for _ in range(2)]
        assert all(model.invoke("Whose?").content for model in models)
        assert models[0]._sync() is models[1]._sync()


def test_a_copied_model_works(model: ChatSparkler, simulator: Simulator) -> None:
    model.invoke("First.")
    assert copy.deepcopy(model).invoke("Then you.").content


def test_secrets_are_never_shown() -> None:
    model = ChatSparkler(model=MODEL, api_key="fw_hush", worker_token="hush token")
    shown = [repr(model), str(model), dumps(model), model.model_dump_json(), str(model.__dict__)]
    shown.append(str(model._identifying_params) + str(model._get_ls_params()))
    model._sync()
    assert not any("hush" in text for text in [*shown, repr(model._sync())])


def test_a_mounted_credential_comes_before_a_key() -> None:
    model = ChatSparkler(model=MODEL, api_key="fw_secret", secret_name="team")
    assert model._credential() == {"secret_name": "team"}


def test_tokens_are_counted_without_a_download(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.socket.connect", None)
    model = ChatSparkler(model=MODEL, api_key="fw_a")
    assert model.get_num_tokens("Twelve chars") == 3
    assert model.get_num_tokens_from_messages([HumanMessage("Twelve chars")]) >= 3
