"""How far a run has come, and whether it goes on where its stream has ended.

Shared by both clients: it has neither input nor output of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from ._errors import NotFoundError, SparklerError, UnreachableError, failed
from ._events import Completed, Delta, Event, Started, event
from ._gen import worker_pb2 as pb

if TYPE_CHECKING:
    from ._answer import Answer

Request = pb.ExecuteNodeRequest | pb.AttachExecutionRequest

# Connections in a row that may be lost before one has brought an event.
RESUMES = 3


class Cursor:
    """The place of a run in its execution's events."""

    def __init__(self, request: Request) -> None:
        self.request = request
        """What to send next."""
        self.answer: Answer | None = None
        self.token = ""
        self.sequence = 0
        self.answered = False
        """Whether the current stream has brought anything."""
        self.failure: SparklerError | None = None
        self._cause: SparklerError | None = None
        self._original = request
        self._shown = False
        self._resumes = 0
        if isinstance(request, pb.AttachExecutionRequest):
            self.token, self.sequence = request.execution_token, request.after_sequence
            self._survives = True
        else:
            drain = pb.ExecutionLimits.ON_CANCEL_DRAIN
            self._survives = request.limits.on_cancel == drain

    def without_deltas(self) -> None:
        """Leaves deltas out, unless the caller has said something about them."""
        wanted = self._wanted()
        if not wanted.HasField("deltas"):
            wanted.deltas = False

    def read(self, response: pb.ExecuteNodeResponse) -> Event | None:
        """Reads one message of the stream."""
        self.answered = True
        self.sequence = response.sequence
        happened = event(response)
        if isinstance(happened, Started):
            self.token = response.started.execution_token
        else:
            self._resumes = 0
        if isinstance(happened, Delta):
            self._shown = True
        elif isinstance(happened, Completed):
            self.answer = happened.answer
        return happened

    def ended(self) -> None:
        """Takes note of the stream's good end, which only a whole answer has."""
        if self.answer is None:
            self._fail(failed("UNAVAILABLE", "the stream ended early", retryable=True))

    def resume(self, error: SparklerError) -> None:
        """Chooses the request that goes on where the stream has ended, or raises its error."""
        again = self._next(error)
        if again is None:
            # That it was not kept only follows from what ended it, which says whether to retry.
            gone = isinstance(error, NotFoundError)
            self._fail((self._cause if gone else None) or error)
        self.request, self.answered = again, False
        self._cause = error
        self._resumes += 1

    def _fail(self, error: SparklerError) -> NoReturn:
        self.failure = error
        raise error from None

    def _next(self, error: SparklerError) -> Request | None:
        attached = self.request is not self._original
        if attached and isinstance(error, NotFoundError) and not self._shown:
            # Not kept: what the idempotency key does not find, it executes again.
            return self._original
        if self._resumes >= RESUMES:
            return None
        lost = error.reason == "CONNECTION_LOST"
        if not self.answered:
            # The connection was going away, and the key makes the same request safe; or the
            # worker that had the execution is away, and may be back.
            away = attached and isinstance(error, UnreachableError)
            return self.request if lost or away else None
        self.token = error.execution_token or self.token
        survives = error.execution_token or (self._survives and lost)
        return self._attachment() if survives and self.token else None

    def _attachment(self) -> pb.AttachExecutionRequest:
        attachment = pb.AttachExecutionRequest(
            execution_token=self.token,
            after_sequence=self.sequence,
            credential=self._original.credential if self._original.HasField("credential") else None,
            context=self._original.context,
            limits=self._original.limits,
        )
        if self._wanted().HasField("deltas"):
            attachment.deltas = self._wanted().deltas
        return attachment

    def _wanted(self) -> pb.OutputOptions | pb.AttachExecutionRequest:
        request = self._original
        return request if isinstance(request, pb.AttachExecutionRequest) else request.output
