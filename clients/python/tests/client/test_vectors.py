"""Texts become vectors."""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING

import pytest
from sparkler_client import AsyncSparkler, Completed, Sparkler

if TYPE_CHECKING:
    from harness import Simulator, Worker

MODEL = "accounts/simulator/models/embedding"


@pytest.fixture
def client(worker: Worker) -> Sparkler:
    return Sparkler(worker.url, api_key="fw_test", model=MODEL)


def test_vectors_come_in_the_order_of_the_texts(client: Sparkler, simulator: Simulator) -> None:
    answer = client.execute(texts=["one", "two", "one"], config={"normalize": True}).answer()
    vectors = answer.embeddings
    assert vectors is not None
    assert (len(vectors), vectors.dimensions, len(vectors.packed)) == (3, 64, 3 * 64 * 4)
    assert vectors[0] == vectors[2] == vectors[-1]
    assert vectors[0] != vectors[1]
    assert list(vectors[1]) == list(struct.unpack_from("<64f", vectors.packed, 64 * 4))
    assert math.isclose(sum(number * number for number in vectors[1]), 1, rel_tol=1e-5)
    assert [list(vector) for vector in vectors[1:]] == [list(vectors[1]), list(vectors[2])]
    with pytest.raises(IndexError):
        vectors[3]
    assert (vectors.executed, vectors.repeated, vectors.cached, vectors.joined) == (2, 1, 0, 0)
    assert answer.choices == ()
    assert answer.usage.prompt_tokens == 2
    assert simulator.report()["texts"] == 2


def test_a_known_text_is_not_paid_again(client: Sparkler, simulator: Simulator) -> None:
    client.execute(texts=["client three", "client four"], cache="read_write").answer()
    run = client.execute(texts=["client four", "client five"], cache="read_write")
    (completed,) = [event for event in run if isinstance(event, Completed)]
    vectors = completed.answer.embeddings
    assert vectors is not None
    assert (vectors.cached, vectors.executed) == (1, 1)
    assert simulator.report()["texts"] == 3


async def test_asyncio_has_the_same_words(worker: Worker, simulator: Simulator) -> None:
    async with AsyncSparkler(worker.url, api_key="fw_test", model=MODEL) as client:
        answer = await client.execute(texts=["one"]).answer()
        assert answer.embeddings is not None
        assert len(answer.embeddings[0]) == 64


def test_texts_exclude_a_prompt(client: Sparkler) -> None:
    with pytest.raises(ValueError, match="one of"):
        client.execute("a prompt", texts=["a text"])
