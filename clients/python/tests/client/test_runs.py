"""A run as its events, its text and its answer; leaving it; the same again."""

from __future__ import annotations

import asyncio
import copy
import pickle
import threading

import pytest
from harness import Simulator, Worker, calls, says
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext
from sparkler_client import (
    AsyncSparkler,
    Completed,
    Context,
    Delta,
    PromptPrefix,
    Run,
    RunCancelledError,
    Sparkler,
    Started,
)

MODEL = "accounts/fireworks/models/glm-5p3"
SEEING = "accounts/fireworks/models/glm-5p3-flash"
WORDS = ["Short waves", " are scattered", " more."]
ENDLESS = {"faults": [says("one ", "two ", "three"), {"stall": {"after_deltas": 2}}]}


@pytest.fixture
def client(worker: Worker):
    with Sparkler(worker.url, model=MODEL, api_key="fw_python") as client:
        yield client


@pytest.fixture
async def async_client(worker: Worker):
    async with AsyncSparkler(worker.url, model=MODEL, api_key="fw_python") as client:
        yield client


def test_events_come_in_order(client: Sparkler, simulator: Simulator) -> None:
    simulator.script({"faults": [says(*WORDS)]})
    with client.execute("Why is the sky blue?") as run:
        started, *deltas, completed = run
    assert isinstance(started, Started)
    assert started.model == MODEL
    assert run.token
    assert all(isinstance(event, Delta) for event in deltas)
    assert "".join(event.text for event in deltas) == "".join(WORDS)
    assert isinstance(completed, Completed)
    assert completed.answer is run.answer()
    assert completed.sequence == run.sequence


async def test_events_come_in_order_async(async_client: AsyncSparkler) -> None:
    async with async_client.execute("Why is the sky blue?") as run:
        events = [event async for event in run]
    assert isinstance(events[0], Started)
    assert isinstance(events[-1], Completed)
    assert events[-1].answer == await run.answer()


def test_an_answer_says_what_it_took(client: Sparkler, simulator: Simulator) -> None:
    simulator.script({"faults": [says(*WORDS)]})
    answer = client.execute("Why is the sky blue?").answer()
    assert answer.text == "".join(WORDS)
    assert answer.finish_reason == "stop"
    assert answer.usage.prompt_tokens
    assert answer.usage.completion_tokens
    assert answer.cost
    assert answer.cost.spent > 0
    assert (answer.cost.tier, answer.cost.tier_unpriced) == ("default", False)
    assert answer.timing.total
    assert answer.timing.queue is None
    assert (answer.attempts, answer.cache.status) == (1, "disabled")
    assert answer.model == MODEL


def test_an_answer_names_the_message_that_changed(simulator: Simulator) -> None:
    with (
        Worker(simulator, "--prefix-affinity", "on") as worker,
        Sparkler(worker.url, model=MODEL, api_key="fw_python") as client,
    ):

        def prefix(*contents: str) -> PromptPrefix | None:
            messages = [{"role": "user", "content": content} for content in contents]
            run = client.execute(messages=messages, context=Context(session_id="prefix"))
            return run.answer().prompt_prefix

        assert prefix("Hello", "there") is None
        assert prefix("Hello", "again", "there") == PromptPrefix(2, 1, tools_changed=False)
        longer = PromptPrefix(3, None, tools_changed=False)
        assert prefix("Hello", "again", "there", "friend") == longer


async def test_an_answer_comes_async(async_client: AsyncSparkler, simulator: Simulator) -> None:
    simulator.script({"faults": [says(*WORDS)]})
    assert (await async_client.execute("Why?").answer()).text == "".join(WORDS)


def test_an_answer_without_deltas_survives_a_cut_stream(
    client: Sparkler, simulator: Simulator
) -> None:
    simulator.script({"faults": [says(*WORDS), {"cut": {"after_deltas": 2}}], "times": 1})
    answer = client.execute("Why is the sky blue?").answer()
    assert answer.attempts == 2


def test_text_comes_piece_by_piece(client: Sparkler, simulator: Simulator) -> None:
    slow = {"slow_deltas": {"delay": "50ms"}}
    simulator.script({"faults": [says(*WORDS), slow]})
    with client.execute("Why is the sky blue?") as run:
        assert list(run.text()) == WORDS


async def test_text_comes_piece_by_piece_async(
    async_client: AsyncSparkler, simulator: Simulator
) -> None:
    slow = {"slow_deltas": {"delay": "50ms"}}
    simulator.script({"faults": [says(*WORDS), slow]})
    async with async_client.execute("Why is the sky blue?") as run:
        assert [text async for text in run.text()] == WORDS


def test_a_repeat_costs_nothing(client: Sparkler, simulator: Simulator) -> None:
    first, again = (client.execute("Again?", cache="read_write").answer() for _ in range(2))
    assert (first.cache.status, again.cache.status) == ("miss", "hit")
    assert first.cost
    assert again.cost
    assert (again.cost.spent, again.cost.saved) == (0, first.cost.spent)
    assert again.text == first.text
    assert simulator.report()["calls"] == 1


def test_every_execution_has_a_key_of_its_own(client: Sparkler, simulator: Simulator) -> None:
    for _ in range(2):
        client.execute("Again?").answer()
    assert simulator.report()["calls"] == 2


def test_one_key_is_executed_once(client: Sparkler, simulator: Simulator) -> None:
    answers = [client.execute("Again?", idempotency_key="run/1").answer() for _ in range(2)]
    assert answers[0].text == answers[1].text
    assert simulator.report()["calls"] == 1


def test_leaving_the_block_stops_the_provider(client: Sparkler, simulator: Simulator) -> None:
    simulator.script(ENDLESS)
    with client.execute("Forever?") as run:
        first_text(run)
    simulator.wait_for(aborted=1)


def test_leaving_the_loop_stops_the_provider(client: Sparkler, simulator: Simulator) -> None:
    simulator.script(ENDLESS)
    run = client.execute("Forever?")
    first_text(run)
    simulator.wait_for(aborted=1)
    with pytest.raises(RunCancelledError):
        run.answer()
    with pytest.raises(RuntimeError, match="read once"):
        list(run)


async def test_leaving_the_loop_stops_the_provider_async(
    async_client: AsyncSparkler, simulator: Simulator
) -> None:
    simulator.script(ENDLESS)
    run = async_client.execute("Forever?")
    async for _ in run.text():
        break
    await asyncio.to_thread(simulator.wait_for, aborted=1)


async def test_a_cancelled_task_stops_the_provider(
    async_client: AsyncSparkler, simulator: Simulator
) -> None:
    simulator.script(ENDLESS)
    task = asyncio.create_task(async_client.execute("Forever?").answer())
    await asyncio.to_thread(simulator.wait_for, stalled=1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.to_thread(simulator.wait_for, aborted=1)


def test_another_thread_cancels_a_run(client: Sparkler, simulator: Simulator) -> None:
    simulator.script(ENDLESS)
    run = client.execute("Forever?")
    threading.Timer(0.3, run.cancel).start()
    with pytest.raises(RunCancelledError):
        run.answer()
    simulator.wait_for(in_flight=0)


async def test_another_task_cancels_a_run(
    async_client: AsyncSparkler, simulator: Simulator
) -> None:
    simulator.script(ENDLESS)
    run = async_client.execute("Forever?")
    asyncio.get_running_loop().call_later(0.3, run.cancel)
    with pytest.raises(RunCancelledError):
        await run.answer()
    await asyncio.to_thread(simulator.wait_for, in_flight=0)


def test_a_run_that_was_left_is_not_sent(client: Sparkler, simulator: Simulator) -> None:
    run = client.execute("Never mind.")
    run.cancel()
    with pytest.raises(RunCancelledError):
        run.answer()
    assert simulator.report()["calls"] == 0


def test_tools_keep_the_order_of_their_keys(client: Sparkler, simulator: Simulator) -> None:
    simulator.script({"faults": [calls("weather", city="Seoul")]})
    properties = {name: {"type": "string"} for name in ("zone", "city", "area")}
    function = {"name": "weather", "parameters": {"type": "object", "properties": properties}}
    tools = [{"type": "function", "function": function}]
    answer = client.execute("How is the weather?", tools=tools).answer()
    assert answer.finish_reason == "tool_calls"
    assert (answer.tool_calls[0].name, answer.tool_calls[0].arguments) == (
        "weather",
        '{"city": "Seoul"}',
    )
    sent = simulator.report()["requests"][0]["body"]["tools"][0]["function"]
    assert list(sent["parameters"]["properties"]) == ["zone", "city", "area"]


def test_a_conversation_arrives_as_it_is(client: Sparkler, simulator: Simulator) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    image = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    messages = [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": [{"type": "text", "text": "See?"}, image]},
        {"role": "assistant", "content": None, "tool_calls": [call], "reasoning_content": "Hm."},
        {"role": "tool", "tool_call_id": "1", "content": "A cat."},
    ]
    client.execute(messages=messages, model=SEEING).answer()
    sent = simulator.report()["requests"][0]["body"]["messages"]
    assert [message["role"] for message in sent] == ["system", "user", "assistant", "tool"]
    assert sent[1]["content"][1]["image_url"]["url"] == "https://example.com/a.png"
    assert sent[2]["tool_calls"] == [call]
    assert sent[2]["reasoning_content"] == "Hm."


def test_a_message_with_an_unknown_field_is_refused(client: Sparkler) -> None:
    with pytest.raises(ValueError, match="a message has no name"):
        client.execute(messages=[{"role": "user", "content": "Hi.", "name": "Ada"}])


def test_json_is_checked_and_not_rounded(client: Sparkler, simulator: Simulator) -> None:
    simulator.script({"faults": [says('{"price": 0.1000', "00000000000001}")]})
    schema = {"type": "object", "properties": {"price": {"type": "number"}}}
    answer = client.execute("How much?", json=schema).answer()
    assert answer.json() == {"price": 0.1}
    assert answer.json(parse_float=str) == {"price": "0.100000000000000001"}


def test_defaults_give_way_to_what_a_call_says(worker: Worker, simulator: Simulator) -> None:
    context = Context(flow_id="flow", node_id="node", labels={"team": "blue"})
    defaults = {"model": MODEL, "api_key": "fw_python", "cache": "read_write"}
    with Sparkler(worker.url, context=context, **defaults) as client:
        options = {"context": Context(node_id="other"), "cache": "off"}
        answers = [client.execute("Whose?", **options).answer() for _ in range(2)]
    assert {answer.cache.status for answer in answers} == {"disabled"}
    line = worker.logged(2)[0]
    assert (line["flow_id"], line["node_id"]) == ("flow", "other")


def test_the_trace_goes_on_in_the_worker(client: Sparkler, worker: Worker) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    client.execute("Where?", traceparent=f"00-{trace}-b7ad6b7169203331-01").answer()
    assert worker.logged()[0]["trace_id"] == trace


def test_the_active_span_goes_along(client: Sparkler, worker: Worker) -> None:
    span = SpanContext(trace_id=0xAF7651916CD43DD8, span_id=0xB7, is_remote=False)
    with trace.use_span(NonRecordingSpan(span)):
        client.execute("Where?").answer()
    assert worker.logged()[0]["trace_id"] == f"{span.trace_id:032x}"


def test_one_client_serves_several_event_loops(worker: Worker, simulator: Simulator) -> None:
    client = AsyncSparkler(worker.url, model=MODEL, api_key="fw_python")

    async def answer() -> str:
        return (await client.execute("Whose loop?").answer()).text

    assert len({asyncio.run(answer()) for _ in range(3)}) == 1
    assert len(client._channels._channels) == 1
    assert simulator.report()["calls"] == 3


def test_a_copied_client_works(client: Sparkler) -> None:
    client.execute("First.").answer()
    for other in (copy.deepcopy(client), pickle.loads(pickle.dumps(client))):
        with other:
            assert other.execute("Then you.").answer().text


def test_a_check_answers_three_questions(client: Sparkler, simulator: Simulator) -> None:
    findings = client.check(config={"temprature": 1})
    assert (findings[0].subject, findings[0].verdict) == ("config", "no")
    assert findings[0].violations[0].field == "config.temprature"
    verdicts = {f.subject: f.verdict for f in client.check()}
    assert verdicts == {"config": "yes", "credential": "yes", "model": "yes"}


def first_text(run: Run) -> None:
    for event in run:
        if isinstance(event, Delta) and event.text:
            break


async def test_node_types_are_listed(async_client: AsyncSparkler, client: Sparkler) -> None:
    names = [node.name for node in await async_client.node_types()]
    assert names == [node.name for node in client.node_types()]
    assert {"chatFireworks", "fireworks"} <= set(names)
