"""The Langflow component, in a flow of Langflow's runtime."""

from __future__ import annotations

from lfx.components.input_output import ChatInput, ChatOutput
from lfx.graph import Graph

from conftest import MODEL


def flow(component):
    asked = ChatInput().set(input_value="Why is the sky blue?")
    model = component()
    settings = {"model_name": MODEL, "api_key": "fw_langflow", "system_message": "Be short."}
    model.set(input_value=asked.message_response, stream=False, **settings)
    return Graph(asked, ChatOutput().set(input_value=model.text_response)), model


async def test_a_flow_asks_the_model(simulator, worker, module) -> None:
    graph, model = flow(module("langflow.md", "sparkler_model.py").SparklerModel)
    async for result in graph.async_start():
        assert getattr(result, "valid", True)
    [line] = worker.logged()
    assert line["node_id"] == model._id
    assert line["run_id"]
    sent = simulator.report()["requests"][0]["body"]["messages"]
    assert [message["role"] for message in sent] == ["system", "user"]
