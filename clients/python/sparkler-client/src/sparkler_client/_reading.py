"""State of a run, whichever way its stream is read."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

from ._errors import SparklerError, decode, failed

if TYPE_CHECKING:
    from collections.abc import Callable

    import grpc

    from ._answer import Answer
    from ._cursor import Cursor, Request

    Open = Callable[[Request, float | None], Any]


class Reading:
    """A run, apart from waiting for its stream."""

    def __init__(self, cursor: Cursor, send: Open, url: str, timeout: float | None) -> None:
        self._cursor = cursor
        self._send = send
        self._url = url
        self._timeout = timeout
        self._deadline: float | None = None
        self._stream: Any = None
        self._begun = False
        self._left = False

    @property
    def token(self) -> str:
        """Names the execution to `attach`, once it has started. A secret of this caller's."""
        return self._cursor.token

    @property
    def sequence(self) -> int:
        """The number of the last event, for `attach`."""
        return self._cursor.sequence

    def cancel(self) -> None:
        """Leaves the execution; nothing happens where it has ended.

        Another thread may cancel a blocking run; a run of asyncio is cancelled on its loop.
        """
        self._left = True
        if self._stream is not None:
            self._stream.cancel()

    def _open(self) -> Any:
        if self._left:
            raise self._cancelled()
        if self._stream is None:
            self._stream = self._send(self._cursor.request, self._remaining())
            if self._left:  # a `cancel` of another thread may have missed the stream
                self._stream.cancel()
        return self._stream

    def _broken(self, error: grpc.RpcError) -> None:
        """Prepares the next stream where the run goes on without this one, else raises."""
        self._stream = None
        if self._cursor.answer:
            return  # nothing is missing
        if self._left:
            raise self._cancelled() from None
        self._cursor.resume(decode(error, self._url, answered=self._cursor.answered))

    def _remaining(self) -> float | None:
        """Returns what is left of the call's time; all its streams share it."""
        if self._timeout is None:
            return None
        if self._deadline is None:
            self._deadline = monotonic() + self._timeout
        return max(self._deadline - monotonic(), 0.0)

    def _begin(self) -> None:
        if self._begun:
            raise RuntimeError("a run is read once; answer() returns its end again")
        self._begun = True

    def _whole(self) -> Answer:
        if self._cursor.answer is None:
            raise self._cursor.failure or self._cancelled()
        return self._cursor.answer

    def _cancelled(self) -> SparklerError:
        return failed("CANCELLED", "the run was left before its end")
