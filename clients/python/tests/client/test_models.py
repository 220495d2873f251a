"""The models that a credential can use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sparkler_client import AsyncSparkler, Model, RefusedError, Sparkler

if TYPE_CHECKING:
    from harness import Worker

PLAIN = "accounts/simulator/models/plain"


@pytest.fixture
def client(worker: Worker):
    with Sparkler(worker.url, api_key="fw_python") as client:
        yield client


def find(models: list[Model], name: str) -> Model:
    return next(model for model in models if model.name == name)


def test_models_have_what_the_provider_states(client: Sparkler) -> None:
    models = client.models()
    model = find(models, "accounts/fireworks/models/glm-5p3")
    assert (model.context_length, model.chat, model.images) == (1_048_576, True, False)
    assert (model.reasoning, model.end_of_life, model.successor) == (None, None, None)
    price = model.prices[0]
    assert price.tier == "default"
    assert 0 < price.cached_input < price.input < price.output < 100
    ending = find(models, "accounts/simulator/models/ending")
    assert (len(ending.end_of_life or ""), ending.successor, ending.prices) == (10, PLAIN, ())


async def test_the_pages_of_a_list_are_one(client: Sparkler, worker: Worker) -> None:
    async with AsyncSparkler(worker.url, api_key="fw_python") as other:
        assert await other.models(page_size=3) == client.models()


def test_a_list_for_a_refused_key_says_so(client: Sparkler) -> None:
    with pytest.raises(RefusedError, match="CREDENTIAL_REJECTED"):
        client.models(api_key="fw_unknown")


def test_a_misspelt_option_of_a_list_is_refused(client: Sparkler) -> None:
    with pytest.raises(TypeError, match="sise: options are api_key"):
        client.models(sise=3)
    with pytest.raises(TypeError, match="model: options are timeout"):
        client.node_types(model=PLAIN)
