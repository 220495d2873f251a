"""The embedding model."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any, Literal

from langchain_core.embeddings import Embeddings
from langchain_core.utils import secret_from_env
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, SecretStr
from sparkler_client import Answer, AsyncSparkler, Cache, Context, Limits, Sparkler

Mode = Literal["off", "read_write", "read_only", "refresh", "only_if_cached"]

# Texts of one execution: the vectors of a large model then take some 16 MB.
CHUNK = 1000


class SparklerEmbeddings(BaseModel, Embeddings):
    """An embedding model of Fireworks, executed by a Sparkler worker.

        embeddings = SparklerEmbeddings(model="fireworks/qwen3-embedding-8b")
        embeddings.embed_documents(["one text", "another"])

    Every text is cached by itself, so that an index that is built again costs only the texts that
    have changed. Fields that are not given come from the environment: `FIREWORKS_API_KEY`,
    `SPARKLER_WORKER` and the other variables of `sparkler_client.Sparkler`.
    """

    model_config = ConfigDict(populate_by_name=True, arbitrary_types_allowed=True, extra="forbid")

    model_name: str = Field(alias="model")
    """The model's full name."""
    api_key: SecretStr | None = Field(
        default_factory=secret_from_env("FIREWORKS_API_KEY", default=None)
    )
    """The provider's key."""
    secret_name: str | None = None
    """The name of a credential mounted in the worker, in place of a key."""
    worker: str | None = Field(default_factory=lambda: os.environ.get("SPARKLER_WORKER"))
    """The worker's URL."""
    worker_token: SecretStr | None = Field(
        default_factory=secret_from_env("SPARKLER_WORKER_TOKEN", default=None)
    )
    """What the worker knows this caller by."""
    client: Sparkler | None = Field(default=None, exclude=True, repr=False)
    """A client to use, in place of one of this model's own."""
    async_client: AsyncSparkler | None = Field(default=None, exclude=True, repr=False)
    """The same for asyncio."""

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
    timeout: float | None = None
    """Seconds for one execution, of up to 1,000 texts."""
    max_retries: int | None = None
    """Further requests to the provider by the worker, where one fails."""
    worker_cache: Mode | Cache | None = "read_write"
    """Whether vectors come from, and go to, the worker's cache."""
    limits: Limits = Limits()
    context: Context = Context()
    """Where in which flow this model stands, for the worker's logs and traces."""

    _client: Sparkler | None = PrivateAttr(default=None)
    _async_client: AsyncSparkler | None = PrivateAttr(default=None)

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

    def _credential(self) -> dict[str, str]:
        """A mounted credential that was asked for comes before a key of the environment."""
        if self.secret_name:
            return {"secret_name": self.secret_name}
        return {"api_key": self.api_key.get_secret_value()} if self.api_key else {}

    def _limits(self) -> Limits:
        limits = self.limits
        if self.timeout is not None:
            limits = replace(limits, total=self.timeout)
        if self.max_retries is not None:
            limits = replace(limits, max_attempts=self.max_retries + 1)
        return limits

    def _sync(self) -> Sparkler:
        if self._client is None:
            self._client = self.client or Sparkler(self.worker, token=self._token())
        return self._client

    def _async(self) -> AsyncSparkler:
        if self._async_client is None:
            made = self.async_client or AsyncSparkler(self.worker, token=self._token())
            self._async_client = made
        return self._async_client

    def _token(self) -> str | None:
        return self.worker_token.get_secret_value() if self.worker_token else None


def _chunks(texts: list[str]) -> list[list[str]]:
    return [texts[start : start + CHUNK] for start in range(0, len(texts), CHUNK)]


def _vectors(answer: Answer) -> list[list[float]]:
    return [vector.tolist() for vector in answer.embeddings or ()]
