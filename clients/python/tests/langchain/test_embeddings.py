"""LangChain's public standard tests for embeddings, and what the worker adds to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from langchain_core.documents import Document
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_sparkler import SparklerEmbeddings
from langchain_tests.integration_tests import EmbeddingsIntegrationTests
from langchain_tests.unit_tests import EmbeddingsUnitTests
from sparkler_client import InvalidRequestError

if TYPE_CHECKING:
    from harness import Simulator, Worker

MODEL = "accounts/simulator/models/embedding"
PARAMS = {"model": MODEL, "api_key": "fw_test"}


class Subject:
    """The model that the public tests are about."""

    @property
    def embeddings_class(self) -> type[SparklerEmbeddings]:
        return SparklerEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, object]:
        return PARAMS


class TestUnit(Subject, EmbeddingsUnitTests):
    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
        return (
            {"FIREWORKS_API_KEY": "fw_env", "SPARKLER_WORKER_TOKEN": "token"},
            {"model": MODEL},
            {"api_key": "fw_env", "worker_token": "token"},
        )


class TestIntegration(Subject, EmbeddingsIntegrationTests):
    @pytest.fixture(autouse=True)
    def at_worker(self, worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SPARKLER_WORKER", worker.url)


def documents(*texts: str) -> list[Document]:
    return [Document(text) for text in texts]


def test_an_index_built_again_costs_what_has_changed(worker: Worker, simulator: Simulator) -> None:
    model = SparklerEmbeddings(**PARAMS, worker=worker.url, worker_cache="read_write")
    store = InMemoryVectorStore.from_documents(documents("rivers", "lakes", "seas"), model)
    assert simulator.report()["texts"] == 3
    found = store.similarity_search("lakes", k=1)
    assert [document.page_content for document in found] == ["lakes"]
    assert simulator.report()["texts"] == 3
    InMemoryVectorStore.from_documents(documents("rivers", "ponds", "seas"), model)
    assert simulator.report()["texts"] == 4


def test_every_field_reaches_the_provider(worker: Worker, simulator: Simulator) -> None:
    model = SparklerEmbeddings(
        **PARAMS,
        worker=worker.url,
        dimensions=8,
        normalize=True,
        prompt_template="doc: {text}",
        query_template="query: {text}",
        batch_size=2,
        worker_cache="off",
    )
    vectors = model.embed_documents(["one", "two", "three"])
    assert [len(vector) for vector in vectors] == [8, 8, 8]
    assert sum(number * number for number in vectors[0]) == pytest.approx(1)
    assert model.embed_query("one") != vectors[0]
    requests = [request["body"] for request in simulator.report()["requests"]]
    # The batches of a call are requested at the same time.
    assert sorted(len(body["input"]) for body in requests) == [1, 1, 2]
    assert {body["prompt_template"] for body in requests} == {"doc: {text}", "query: {text}"}
    assert {body["dimensions"] for body in requests} == {8}


def test_many_texts_are_several_executions(worker: Worker, simulator: Simulator) -> None:
    model = SparklerEmbeddings(**PARAMS, worker=worker.url, dimensions=2)
    texts = [f"text {number % 1500}" for number in range(2500)]
    vectors = model.embed_documents(texts)
    assert len(vectors) == 2500
    assert vectors[:1000] == vectors[1500:]
    assert simulator.report()["texts"] == 1500


async def test_asyncio_has_the_same_vectors(worker: Worker, simulator: Simulator) -> None:
    model = SparklerEmbeddings(**PARAMS, worker=worker.url)
    assert await model.aembed_documents(["one", "two"]) == model.embed_documents(["one", "two"])
    assert await model.aembed_query("one") == model.embed_query("one")
    assert model.embed_documents([]) == []


def test_a_wrong_field_is_named(worker: Worker) -> None:
    model = SparklerEmbeddings(**PARAMS, worker=worker.url, dimensions=0)
    with pytest.raises(InvalidRequestError) as caught:
        model.embed_query("one")
    assert [violation.field for violation in caught.value.violations] == ["config.dimensions"]
    assert "fw_test" not in repr(model)
