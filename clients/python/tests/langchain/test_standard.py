"""LangChain's public standard tests, against a worker of a simulated provider."""

from __future__ import annotations

import base64

import httpx
import pytest
from harness import Simulator, Worker, calls, says
from langchain_sparkler import ChatSparkler
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

# One that sees images, and one without eyes to be put in its place.
MODEL = "accounts/fireworks/models/glm-5p3-flash"
OTHER = "accounts/fireworks/models/glm-5p3"

# The simulator is no model: what needs a model's sense is said here, by a part of the prompt.
SENSE = {
    "test_tool_calling": [
        {"prompt": "magic_function(3)", "faults": [calls("magic_function", input=3)]}
    ],
    "test_json_mode": [
        {
            "prompt": "joke",
            "faults": [says('{"setup": "Why a', ' cat?", "punch', 'line": "It sat."}')],
        }
    ],
    "test_agent_loop": [
        {"faults": [calls("get_weather", location="San Francisco, CA")], "times": 1},
        {"faults": [says("It is sunny.")], "times": 1},
    ],
    "test_unicode_tool_call_integration": [
        {
            "prompt": "Chinese",
            "faults": [
                calls("unicode_customer", customer_name="你好啊集团", description="技术公司")
            ],
        },
        {
            "faults": [
                calls("unicode_customer", customer_name="こんにちは株式会社", description="会社")
            ]
        },
    ],
}
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


class Subject:
    """The model that the public tests are about."""

    @property
    def chat_model_class(self) -> type[ChatSparkler]:
        return ChatSparkler

    @property
    def chat_model_params(self) -> dict[str, object]:
        return {"model": MODEL, "api_key": "fw_test"}


class TestUnit(Subject, ChatModelUnitTests):
    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
        return (
            {"FIREWORKS_API_KEY": "fw_env", "SPARKLER_WORKER_TOKEN": "token"},
            {"model": MODEL},
            {"api_key": "fw_env", "worker_token": "token"},
        )


class TestIntegration(Subject, ChatModelIntegrationTests):
    @pytest.fixture(autouse=True)
    def sense(
        self, request: pytest.FixtureRequest, worker: Worker, simulator: Simulator, monkeypatch
    ) -> None:
        monkeypatch.setenv("SPARKLER_WORKER", worker.url)
        name = request.node.originalname.removesuffix("_async")
        simulator.script(*SENSE.get(name, []))
        if name == "test_image_inputs":  # which fetches a picture from the web
            got = httpx.Response(200, content=PNG, request=httpx.Request("GET", "https://x.test"))
            monkeypatch.setattr(httpx, "get", lambda *_, **__: got)

    @property
    def supports_image_inputs(self) -> bool:
        return True

    @property
    def supports_image_urls(self) -> bool:
        return True

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return OTHER
