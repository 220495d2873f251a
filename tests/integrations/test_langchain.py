"""An agent of LangChain's, on LangGraph."""

from __future__ import annotations

import asyncio

import pytest
from harness import says


def asked(text: str) -> dict[str, object]:
    return {"messages": [("user", text)]}


@pytest.fixture
def agent(simulator, module, monkeypatch):
    monkeypatch.setenv("FIREWORKS_API_KEY", "fw_agent")
    return module("langchain.md", "agent.py").agent


def test_an_agent_uses_its_tool(agent, worker) -> None:
    messages = agent.invoke(asked("use get_weather please"))["messages"]
    assert [message.type for message in messages] == ["human", "ai", "tool", "ai"]
    assert messages[2].text.startswith("sunny in ")
    assert messages[-1].usage_metadata["output_tokens"] > 0
    lines = worker.logged(2)
    assert {line["flow_id"] for line in lines} == {"weather"}
    assert {line["node_id"] for line in lines} == {"model"}


async def test_a_cancelled_agent_stops_the_provider(agent, simulator) -> None:
    simulator.script({"faults": [says("one ", "two"), {"stall": {"after_deltas": 1}}]})

    async def read() -> None:
        async for _ in agent.astream(asked("Tell me a lot."), stream_mode="messages"):
            pass

    task = asyncio.create_task(read())
    await asyncio.to_thread(simulator.wait_for, stalled=1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.to_thread(simulator.wait_for, aborted=1)
