"""Clients of a worker: one that blocks its thread, and one for asyncio."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
from typing_extensions import Self, Unpack

from ._channel import Channel, Endpoint, LoopChannels
from ._check import Finding
from ._cursor import Cursor
from ._errors import decode
from ._gen import worker_pb2 as pb
from ._models import Model
from ._request import (
    AttachOptions,
    Cache,
    CacheMode,
    CallOptions,
    CheckOptions,
    Context,
    Defaults,
    ExecuteOptions,
    Limits,
    ModelsOptions,
    attach_request,
    check_request,
    execute_request,
    models_request,
    refuse_unknown,
)
from ._run import AsyncRun, Run

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from ._cursor import Request

SERVICE = "/sparkler.worker.v1.WorkerService"

# For the calls that execute nothing.
TIMEOUT = 30.0


class Client:
    """A worker, or the fleet of workers behind one name.

    `url` is `http://HOST:PORT`, or `https://HOST:PORT` for TLS; else `SPARKLER_WORKER`, else the
    loopback. `token`, or `token_file`, is by what the worker knows this caller. `ca_file` holds
    the certificates to trust in place of the system's, `cert_file` and `key_file` this caller's
    own. All other arguments are defaults for every call.

    A client is made once and shared. It connects when it is first used.
    """

    _channel_kind: type[Channel | LoopChannels]

    def __init__(
        self,
        url: str | None = None,
        *,
        token: str | None = None,
        token_file: str | os.PathLike[str] | None = None,
        ca_file: str | os.PathLike[str] | None = None,
        cert_file: str | os.PathLike[str] | None = None,
        key_file: str | os.PathLike[str] | None = None,
        model: str | None = None,
        api_key: str | None = None,
        secret_name: str | None = None,
        cache: Cache | CacheMode | None = None,
        limits: Limits | None = None,
        context: Context | None = None,
    ) -> None:
        self._endpoint = Endpoint.from_environment(
            url,
            token,
            token_file=token_file,
            ca_file=ca_file,
            cert_file=cert_file,
            key_file=key_file,
        )
        self._channels: Any = self._channel_kind(self._endpoint)
        self._defaults = Defaults(
            model=model,
            api_key=api_key,
            secret_name=secret_name,
            cache=(Cache(mode=cache) if isinstance(cache, str) else cache) or Cache(),
            limits=limits or Limits(),
            context=context or Context(),
        )

    @property
    def url(self) -> str:
        """The worker's address."""
        return self._endpoint.url

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    def _reading(self, request: Request, options: CallOptions) -> tuple[Any, ...]:
        """Returns what a run is made of."""
        metadata = self._endpoint.metadata(options.get("traceparent"))

        def send(request: Request, timeout: float | None) -> Any:
            if isinstance(request, pb.ExecuteNodeRequest):
                method = self._streaming("ExecuteNode", pb.ExecuteNodeRequest)
            else:
                method = self._streaming("AttachExecution", pb.AttachExecutionRequest)
            return method(request, metadata=metadata, timeout=timeout)

        return Cursor(request), send, self.url, options.get("timeout")

    def _streaming(self, name: str, request: Any) -> Callable[..., Any]:
        method: Callable[..., Any] = self._channels.get().unary_stream(
            f"{SERVICE}/{name}", request.SerializeToString, pb.ExecuteNodeResponse.FromString
        )
        return method

    def _unary(self, name: str, request: Any, response: Any, options: CallOptions) -> Any:
        """Begins a call that has one answer."""
        method = self._channels.get().unary_unary(
            f"{SERVICE}/{name}", type(request).SerializeToString, response.FromString
        )
        metadata = self._endpoint.metadata(options.get("traceparent"))
        return method(request, metadata=metadata, timeout=options.get("timeout", TIMEOUT))


class Sparkler(Client):
    """A client that blocks its thread; its calls may come from any thread."""

    _channel_kind = Channel

    def execute(self, prompt: str | None = None, **options: Unpack[ExecuteOptions]) -> Run:
        """Executes a node, with a prompt, with `messages` or with `texts`."""
        request = execute_request(self._defaults, prompt, options)
        return Run(*self._reading(request, options))

    def attach(self, token: str, **options: Unpack[AttachOptions]) -> Run:
        """Picks up a run by its token, from another process or much later."""
        return Run(*self._reading(attach_request(self._defaults, token, options), options))

    def check(self, **options: Unpack[CheckOptions]) -> list[Finding]:
        """Finds out whether a node would run: its fields, its credential, its model."""
        request = check_request(self._defaults, options)
        answer = self._call("CheckNode", request, pb.CheckNodeResponse, options)
        return [Finding.of(finding) for finding in answer.findings]

    def node_types(self, **options: Unpack[CallOptions]) -> list[pb.NodeType]:
        """Lists the node types of the worker, with enough of each to draw its form."""
        refuse_unknown(options, CallOptions)
        request = pb.ListNodeTypesRequest()
        return list(
            self._call("ListNodeTypes", request, pb.ListNodeTypesResponse, options).node_types
        )

    def models(self, **options: Unpack[ModelsOptions]) -> list[Model]:
        """Lists the models that a credential can use, by name; spends no tokens."""
        request = models_request(self._defaults, options)
        models: list[Model] = []
        while True:
            page = self._call("ListModels", request, pb.ListModelsResponse, options)
            models += [Model.of(model) for model in page.models]
            if not page.next_page_token:
                return models
            request.page_token = page.next_page_token

    def close(self) -> None:
        """Ends the connection, and with it every call that is under way."""
        self._channels.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _call(self, name: str, request: Any, response: Any, options: CallOptions) -> Any:
        try:
            return self._unary(name, request, response, options)
        except grpc.RpcError as error:
            raise decode(error, self.url) from None


class AsyncSparkler(Client):
    """A client for asyncio; it may be used from several event loops."""

    _channel_kind = LoopChannels

    def execute(self, prompt: str | None = None, **options: Unpack[ExecuteOptions]) -> AsyncRun:
        """Executes a node, with a prompt, with `messages` or with `texts`."""
        request = execute_request(self._defaults, prompt, options)
        return AsyncRun(*self._reading(request, options))

    def attach(self, token: str, **options: Unpack[AttachOptions]) -> AsyncRun:
        """Picks up a run by its token, from another process or much later."""
        return AsyncRun(*self._reading(attach_request(self._defaults, token, options), options))

    async def check(self, **options: Unpack[CheckOptions]) -> list[Finding]:
        """Finds out whether a node would run: its fields, its credential, its model."""
        request = check_request(self._defaults, options)
        answer = await self._call("CheckNode", request, pb.CheckNodeResponse, options)
        return [Finding.of(finding) for finding in answer.findings]

    async def node_types(self, **options: Unpack[CallOptions]) -> list[pb.NodeType]:
        """Lists the node types of the worker, with enough of each to draw its form."""
        refuse_unknown(options, CallOptions)
        request = pb.ListNodeTypesRequest()
        answer = await self._call("ListNodeTypes", request, pb.ListNodeTypesResponse, options)
        return list(answer.node_types)

    async def models(self, **options: Unpack[ModelsOptions]) -> list[Model]:
        """Lists the models that a credential can use, by name; spends no tokens."""
        request = models_request(self._defaults, options)
        models: list[Model] = []
        while True:
            page = await self._call("ListModels", request, pb.ListModelsResponse, options)
            models += [Model.of(model) for model in page.models]
            if not page.next_page_token:
                return models
            request.page_token = page.next_page_token

    async def close(self) -> None:
        """Ends the running loop's connection, and with it every call that is under way."""
        await self._channels.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _call(self, name: str, request: Any, response: Any, options: CallOptions) -> Any:
        try:
            return await self._unary(name, request, response, options)
        except grpc.RpcError as error:
            raise decode(error, self.url) from None
