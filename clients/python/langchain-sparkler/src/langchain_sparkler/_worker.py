"""What models share: the worker, who pays, and the limits of an execution."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Literal

from langchain_core.utils import secret_from_env
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, SecretStr
from sparkler_client import AsyncSparkler, Context, Limits, Sparkler

Mode = Literal["off", "read_write", "read_only", "refresh", "only_if_cached"]


class WorkerModel(BaseModel):
    """The fields of a model that a worker executes."""

    model_config = ConfigDict(populate_by_name=True, arbitrary_types_allowed=True)

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
    timeout: float | None = None
    """Seconds for one execution; `limits` has the finer ones."""
    max_retries: int | None = None
    """Further requests to the provider by the worker, where one fails."""
    limits: Limits = Limits()
    context: Context = Context()
    """Where in which flow this model stands, for the worker's logs and traces."""

    _client: Sparkler | None = PrivateAttr(default=None)
    _async_client: AsyncSparkler | None = PrivateAttr(default=None)

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
