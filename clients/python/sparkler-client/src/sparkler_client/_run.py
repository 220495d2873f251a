"""Runs: one that blocks its thread, and one for asyncio."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import grpc

from ._events import Delta, Event
from ._reading import Reading

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from typing_extensions import Self

    from ._answer import Answer


class Run(Reading):
    """One execution, read as its events, as its text, or as its answer.

        with client.execute("Why is the sky blue?") as run:
            for text in run.text():
                print(text, end="")
        print(run.answer().usage)

    The call begins as the block is entered, or else as the run is read. Leaving the block or the
    loop early cancels it: the provider is stopped, and billing with it. With limits whose
    `on_cancel` is `drain` the execution goes on instead, and a lost connection is picked up.
    """

    def __enter__(self) -> Self:
        self._open()
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()

    def __iter__(self) -> Iterator[Event]:
        """Reads the events; a run is read once."""
        self._begin()
        try:
            while self._cursor.answer is None:
                try:
                    for response in self._open():
                        if event := self._cursor.read(response):
                            yield event
                    self._cursor.ended()
                except grpc.RpcError as error:
                    self._broken(error)
        finally:
            self.cancel()

    def text(self) -> Iterator[str]:
        """Reads the text of the first choice, piece by piece."""
        try:
            for event in self:
                if isinstance(event, Delta) and event.choice == 0 and event.text:
                    yield event.text
        finally:
            self.cancel()

    def answer(self) -> Answer:
        """Returns the whole answer, reading the run where that has not been done.

        Where nobody reads them, deltas are not sent: the worker may then try again until the end.
        """
        if self._stream is None:
            self._cursor.without_deltas()
        if not self._begun:
            for _ in self:
                pass
        return self._whole()


class AsyncRun(Reading):
    """One execution, as `Run`, for asyncio. Cancelling the task that reads cancels it, too."""

    async def __aenter__(self) -> Self:
        self._open()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cancel()

    async def __aiter__(self) -> AsyncIterator[Event]:
        """Reads the events; a run is read once."""
        self._begin()
        try:
            while self._cursor.answer is None:
                try:
                    async for response in self._open():
                        if event := self._cursor.read(response):
                            yield event
                    self._cursor.ended()
                except grpc.RpcError as error:
                    self._broken(error)
                except asyncio.CancelledError:
                    if not self._left or _task_is_cancelled():
                        raise
                    raise self._cancelled() from None
        finally:
            self.cancel()

    async def text(self) -> AsyncIterator[str]:
        """Reads the text of the first choice, piece by piece."""
        try:
            async for event in self:
                if isinstance(event, Delta) and event.choice == 0 and event.text:
                    yield event.text
        finally:
            self.cancel()

    async def answer(self) -> Answer:
        """Returns the whole answer, as `Run.answer`."""
        if self._stream is None:
            self._cursor.without_deltas()
        if not self._begun:
            async for _ in self:
                pass
        return self._whole()


def _task_is_cancelled() -> bool:
    """Returns true if the reader itself is cancelled; Python 3.10 cannot say."""
    cancelling = getattr(asyncio.current_task(), "cancelling", int)
    return bool(cancelling())
