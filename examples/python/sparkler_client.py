"""A client of Sparkler, the gRPC worker that executes LLM nodes of visual flows.

One file over the generated code: copy it, `gen/` and `service_config.json` into
an orchestrator. It adds what every orchestrator needs and generated code does
not have: failures with their details decoded, executions that survive a lost
connection, and an idempotency key on every execution, so that a retry of gRPC's
own is never paid twice.
"""

from __future__ import annotations

import sys
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from time import monotonic
from urllib.parse import urlsplit

import grpc
from google.rpc import error_details_pb2, status_pb2

sys.path.insert(0, str(Path(__file__).parent / "gen"))

from sparkler.worker.v1 import worker_pb2 as api  # noqa: E402
from sparkler.worker.v1.worker_pb2_grpc import WorkerServiceStub  # noqa: E402

__all__ = ["Execution", "Failure", "Sparkler", "api"]

# Retries what the worker refused before it did anything, after the wait that it
# asks for; spreads calls over the workers behind one name.
SERVICE_CONFIG = Path(__file__).parent.parent / "service_config.json"

CHANNEL_OPTIONS = [
    ("grpc.service_config", SERVICE_CONFIG.read_text()),
    ("grpc.max_receive_message_length", 64 << 20),
    # A connection that died in silence is noticed within 40 seconds.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
]


class Sparkler:
    """A worker, or the fleet of workers behind one name.

    `url` is `http://HOST:PORT`, or `https://HOST:PORT` for TLS; `roots` are the
    certificates (PEM) to trust instead of the system's; `token` is what the
    worker knows this caller by, where it asks for that.
    """

    def __init__(self, url: str, *, roots: bytes | None = None, token: str | None = None):
        address = urlsplit(url)
        target = f"dns:///{address.netloc}"
        if address.scheme == "https":
            credentials = grpc.ssl_channel_credentials(root_certificates=roots)
            self._channel = grpc.aio.secure_channel(target, credentials, CHANNEL_OPTIONS)
        elif address.scheme == "http":
            self._channel = grpc.aio.insecure_channel(target, CHANNEL_OPTIONS)
        else:
            raise ValueError(f"{url} must start with http:// or https://")
        self._stub = WorkerServiceStub(self._channel)
        self._token = token

    async def __aenter__(self) -> Sparkler:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the connection, and with it every call that is under way."""
        await self._channel.close()

    def execute(
        self,
        request: api.ExecuteNodeRequest,
        *,
        timeout: float | None = None,
        traceparent: str | None = None,
    ) -> Execution:
        """Executes one node.

        `timeout` (seconds) ends the call wherever it stands; `limits.total` of
        the request does the same with the details of what was done so far.
        Without an `idempotency_key` the request gets one; give your own (such
        as the run's id and the node's) where the orchestrator itself may ask
        again, after a crash.
        """
        if not request.idempotency_key:
            request.idempotency_key = str(uuid.uuid4())
        attachment = None
        if request.limits.on_cancel == api.ExecutionLimits.ON_CANCEL_DRAIN:
            attachment = api.AttachExecutionRequest(context=request.context, limits=request.limits)
            if request.output.HasField("deltas"):
                attachment.deltas = request.output.deltas
        call = Call(self._stub, self._metadata(traceparent), deadline(timeout))
        return Execution(call, call.execute(request), attachment)

    def attach(
        self,
        request: api.AttachExecutionRequest,
        *,
        timeout: float | None = None,
        traceparent: str | None = None,
    ) -> Execution:
        """Picks up an execution by its token, from another process or much later."""
        call = Call(self._stub, self._metadata(traceparent), deadline(timeout))
        return Execution(call, call.attach(request), request)

    async def node_types(self, *, timeout: float = 30) -> list[api.NodeType]:
        """The node types of the worker, with enough of each to draw its form."""
        request = api.ListNodeTypesRequest()
        return (await self._answer(self._stub.ListNodeTypes, request, timeout)).node_types

    async def check(self, request: api.CheckNodeRequest, *, timeout: float = 30) -> list[api.Finding]:
        """Whether a node would run: its fields, its credential, its model."""
        return (await self._answer(self._stub.CheckNode, request, timeout)).findings

    async def _answer(self, method, request, timeout: float):
        try:
            return await method(request, metadata=self._metadata(None), timeout=timeout)
        except grpc.aio.AioRpcError as error:
            raise Failure.decode(error) from None

    def _metadata(self, traceparent: str | None) -> list[tuple[str, str]]:
        metadata = []
        if self._token:
            metadata.append(("authorization", f"Bearer {self._token}"))
        if traceparent:
            metadata.append(("traceparent", traceparent))
        return metadata


class Execution:
    """One execution: iterate over its events, then read `completed`.

        async with worker.execute(request) as execution:
            async for response in execution:
                print(response.delta.text, end="")
        print(execution.completed.usage)

    Leaving the block early cancels the execution and stops the provider. A
    failure is raised as `Failure`. Where `limits.on_cancel` is DRAIN, a lost
    connection is none: the execution is picked up behind the last event seen,
    and the events go on with another `started`.
    """

    def __init__(self, call: Call, stream, attachment: api.AttachExecutionRequest | None):
        self._call = call
        self._stream = stream
        self._attachment = attachment
        self.started: api.Started | None = None
        self.completed: api.Completed | None = None
        self.last_sequence = 0

    async def __aenter__(self) -> Execution:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cancel()

    def cancel(self) -> None:
        """Leaves the execution; nothing happens when it has ended."""
        self._stream.cancel()

    async def __aiter__(self) -> AsyncIterator[api.ExecuteNodeResponse]:
        while True:
            heard = False
            try:
                async for response in self._stream:
                    heard = True
                    self._note(response)
                    yield response
                return
            except grpc.aio.AioRpcError as error:
                failure = Failure.decode(error)
            if self.completed:
                return
            # An attachment that brought nothing is not tried again: the service
            # config has retried it already.
            if not (heard and failure.connection_lost and self._attachment):
                raise failure
            self._stream = self._call.attach(self._attachment)

    def _note(self, response: api.ExecuteNodeResponse) -> None:
        self.last_sequence = response.sequence
        if response.HasField("started"):
            self.started = response.started
        elif response.HasField("completed"):
            self.completed = response.completed
        if self._attachment and self.started:
            self._attachment.execution_token = self.started.execution_token
            self._attachment.after_sequence = self.last_sequence


@dataclass(eq=False)
class Failure(Exception):
    """A call that failed, its details decoded."""

    code: grpc.StatusCode
    message: str
    # Such as CREDENTIAL_REJECTED; empty where not the worker but gRPC itself
    # failed: no connection, or this side's own deadline.
    reason: str = ""
    # `sparkler`, or `fireworks.ai` for what the provider said.
    domain: str = ""
    # `phase`, `safe_to_retry`, `http_status`, `provider_request_id`, …
    metadata: dict[str, str] = field(default_factory=dict)
    # How long to wait before a retry, where that is known.
    retry_after: timedelta | None = None
    # Field and description.
    violations: list[tuple[str, str]] = field(default_factory=list)
    # What was used and paid until then, once the execution had begun.
    detail: api.FailureDetail | None = None

    def __str__(self) -> str:
        return f"{self.code.name} {self.reason}".rstrip() + f": {self.message}"

    @property
    def safe_to_retry(self) -> bool:
        """Whether the same request may succeed later."""
        return self.metadata.get("safe_to_retry") == "true"

    @property
    def connection_lost(self) -> bool:
        """Whether it was not the worker that ended the call."""
        return self.code is grpc.StatusCode.UNAVAILABLE and not self.reason

    @classmethod
    def decode(cls, error: grpc.aio.AioRpcError) -> Failure:
        failure = cls(error.code(), error.details() or "")
        details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
        for detail in status_pb2.Status.FromString(details).details:
            if info := unpack(detail, error_details_pb2.ErrorInfo):
                failure.reason, failure.domain = info.reason, info.domain
                failure.metadata = dict(info.metadata)
            elif retry := unpack(detail, error_details_pb2.RetryInfo):
                failure.retry_after = retry.retry_delay.ToTimedelta()
            elif bad_request := unpack(detail, error_details_pb2.BadRequest):
                failure.violations = [(v.field, v.description) for v in bad_request.field_violations]
            else:
                failure.detail = unpack(detail, api.FailureDetail) or failure.detail
        return failure


def unpack(detail, kind):
    """The message in an Any, if it is of this kind."""
    message = kind()
    return message if detail.Unpack(message) else None


def deadline(timeout: float | None) -> float | None:
    return None if timeout is None else monotonic() + timeout


@dataclass(frozen=True)
class Call:
    """What the parts of one execution have in common."""

    stub: WorkerServiceStub
    metadata: list[tuple[str, str]]
    deadline: float | None

    def execute(self, request: api.ExecuteNodeRequest):
        return self.stub.ExecuteNode(request, metadata=self.metadata, timeout=self._remaining())

    def attach(self, request: api.AttachExecutionRequest):
        return self.stub.AttachExecution(request, metadata=self.metadata, timeout=self._remaining())

    def _remaining(self) -> float | None:
        return None if self.deadline is None else max(self.deadline - monotonic(), 0)
