"""The embedding model."""

from __future__ import annotations

from typing import Any

from langchain_core.embeddings import Embeddings
from pydantic import ConfigDict
from sparkler_client import Answer, Cache

from ._worker import Mode, WorkerModel

# Texts of one execution: the vectors of a large model then take some 16 MB.
CHUNK = 1000


class SparklerEmbeddings(WorkerModel, Embeddings):
    """An embedding model of Fireworks, executed by a Sparkler worker.

        embeddings = SparklerEmbeddings(model="fireworks/qwen3-embedding-8b")
        embeddings.embed_documents(["one text", "another"])

    Every text is cached by itself, so that an index that is built again costs only the texts that
    have changed. More than 1,000 texts are several executions. Fields that are not given come from
    the environment: `FIREWORKS_API_KEY`, `SPARKLER_WORKER` and the other variables of
    `sparkler_client.Sparkler`.
    """

    model_config = ConfigDict(extra="forbid")

    dimensions: int | None = None
    """The length of a vector, for models that can shorten theirs."""
    normalize: bool | None = None
    """Whether every vector is scaled to length 1."""
    prompt_template: str | None = None
    """A template that the provider puts each text into."""
    query_template: str | None = None
    """The same for queries, where it is another."""
    batch_size: int | None = None
    """Texts of one request to the provider."""
    worker_cache: Mode | Cache | None = "read_write"
    """Whether vectors come from, and go to, the worker's cache."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Returns the vector of each text, in order."""
        vectors: list[list[float]] = []
        for chunk in _chunks(texts):
            options = self._options(self.prompt_template)
            vectors += _vectors(self._sync().execute(texts=chunk, **options).answer())
        return vectors

    def embed_query(self, text: str) -> list[float]:
        """Returns the vector of a query."""
        options = self._options(self.query_template or self.prompt_template)
        return _vectors(self._sync().execute(texts=[text], **options).answer())[0]

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """Returns the vector of each text, in order."""
        vectors: list[list[float]] = []
        for chunk in _chunks(texts):
            options = self._options(self.prompt_template)
            vectors += _vectors(await self._async().execute(texts=chunk, **options).answer())
        return vectors

    async def aembed_query(self, text: str) -> list[float]:
        """Returns the vector of a query."""
        options = self._options(self.query_template or self.prompt_template)
        return _vectors(await self._async().execute(texts=[text], **options).answer())[0]

    def _options(self, template: str | None) -> dict[str, Any]:
        """Returns the arguments of `execute`."""
        config = {
            "dimensions": self.dimensions,
            "normalize": self.normalize,
            "promptTemplate": template,
            "batchSize": self.batch_size,
        }
        return {
            "model": self.model_name,
            "config": {name: value for name, value in config.items() if value is not None},
            **self._credential(),
            "cache": self.worker_cache,
            "limits": self._limits(),
            "context": self.context,
        }


def _chunks(texts: list[str]) -> list[list[str]]:
    return [texts[start : start + CHUNK] for start in range(0, len(texts), CHUNK)]


def _vectors(answer: Answer) -> list[list[float]]:
    return [vector.tolist() for vector in answer.embeddings or ()]
