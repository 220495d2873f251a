"""Events of a run. An event of a later release is left out, as the API asks of callers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ._answer import Answer
from ._gen import worker_pb2 as pb
from ._values import seconds, word

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Started:
    """The execution is under way; comes again where a lost connection was picked up."""

    sequence: int
    worker_id: str
    worker_version: str
    model: str
    cache: str
    """As `CacheOutcome.status`."""


@dataclass(frozen=True, slots=True)
class ToolCallFragment:
    """A fragment of a tool call; those of one `index` are joined."""

    index: int
    id: str
    name: str
    arguments: str

    def and_then(self, more: ToolCallFragment) -> ToolCallFragment:
        """Returns both as one."""
        arguments = self.arguments + more.arguments
        return ToolCallFragment(self.index, self.id or more.id, self.name or more.name, arguments)


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of output."""

    sequence: int
    choice: int
    text: str
    reasoning: str
    tool_calls: tuple[ToolCallFragment, ...]
    logprobs: str


@dataclass(frozen=True, slots=True)
class Restarted:
    """The execution starts again; what came before is void. Only with `allow_restart`."""

    sequence: int
    attempt: int
    reason: str


@dataclass(frozen=True, slots=True)
class Progress:
    """Nothing has happened for a while, and the execution is alive."""

    sequence: int
    phase: str
    """`queued`, `connecting`, `waiting`, `streaming` or `retrying`."""
    elapsed: float


@dataclass(frozen=True, slots=True)
class Completed:
    """The execution succeeded; always the last event."""

    sequence: int
    answer: Answer


Event = Started | Delta | Restarted | Progress | Completed


def event(response: pb.ExecuteNodeResponse) -> Event | None:
    """Reads one message of a stream."""
    match response.WhichOneof("event"):
        case "started":
            return _started(response.sequence, response.started)
        case "delta":
            return _delta(response.sequence, response.delta)
        case "restarted":
            again = response.restarted
            return Restarted(response.sequence, again.attempt, again.reason)
        case "progress":
            phase = word(pb.Progress.Phase, "PHASE_", response.progress.phase)
            return Progress(response.sequence, phase, seconds(response.progress, "elapsed") or 0.0)
        case "completed":
            return Completed(response.sequence, Answer.of(response.completed))
    return None


def _started(sequence: int, started: pb.Started) -> Started:
    cache = word(pb.CacheStatus, "CACHE_STATUS_", started.cache_status)
    return Started(sequence, started.worker_id, started.worker_version, started.model, cache)


def _delta(sequence: int, delta: pb.Delta) -> Delta:
    calls = join(ToolCallFragment(f.index, f.id, f.name, f.arguments) for f in delta.tool_calls)
    return Delta(sequence, delta.choice, delta.text, delta.reasoning, calls, delta.logprobs)


def join(fragments: Iterable[ToolCallFragment]) -> tuple[ToolCallFragment, ...]:
    """Joins fragments of one index: a delta that was merged on its way may hold several."""
    calls: dict[int, ToolCallFragment] = {}
    for more in fragments:
        known = calls.get(more.index)
        calls[more.index] = known.and_then(more) if known else more
    return tuple(calls.values())
