"""A whole answer, and what it took."""

from __future__ import annotations

import json
import sys
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, overload

from ._gen import worker_pb2 as pb
from ._values import dollars, optional, seconds, word

# Of a number within a vector.
FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool call that the model asked for."""

    id: str
    name: str
    arguments: str
    """JSON text, as the model wrote it: it may be broken."""

    @classmethod
    def of(cls, call: pb.ToolCall) -> ToolCall:
        """Reads the message."""
        return cls(call.id, call.name, call.arguments)


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts; what the provider did not say is None."""

    prompt_tokens: int | None
    completion_tokens: int | None
    total_tokens: int | None
    cached_tokens: int | None
    reasoning_tokens: int | None

    @classmethod
    def of(cls, usage: pb.Usage) -> Usage:
        """Reads the message."""
        return cls(*(optional(usage, name) for name in cls.__slots__))


@dataclass(frozen=True, slots=True)
class Cost:
    """Money in US dollars, exact to a nano-dollar."""

    spent: float
    """By this execution; 0 for a hit or a joined one."""
    original: float
    """By the execution that produced the answer."""
    saved: float
    price_date: str
    """The date of the price table, `YYYY-MM-DD`."""

    @classmethod
    def of(cls, cost: pb.Cost | None) -> Cost | None:
        """Reads the message; a model whose price is unknown has none."""
        if cost is None:
            return None
        return cls(
            spent=dollars(cost.spent_nanodollars),
            original=dollars(cost.original_nanodollars),
            saved=dollars(cost.saved_nanodollars),
            price_date=cost.price_date,
        )


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds, as this caller saw them; what did not happen is None."""

    queue: float | None
    cache: float | None
    connect: float | None
    first_token: float | None
    total: float | None

    @classmethod
    def of(cls, timing: pb.Timing) -> Timing:
        """Reads the message."""
        return cls(*(seconds(timing, name) for name in cls.__slots__))


@dataclass(frozen=True, slots=True)
class CacheOutcome:
    """What the cache did."""

    status: str
    """`disabled`, `bypassed`, `hit`, `miss`, `joined`, `stale` or `lookup_failed`."""
    store: str
    """`stored`, `not_stored` or `store_failed`; `unspecified` where there was nothing to store."""
    not_stored_reason: str
    key_fingerprint: str
    age: float | None
    """Seconds since a hit was stored."""

    @classmethod
    def of(cls, cache: pb.CacheOutcome) -> CacheOutcome:
        """Reads the message."""
        return cls(
            status=word(pb.CacheStatus, "CACHE_STATUS_", cache.status),
            store=word(pb.StoreStatus, "STORE_STATUS_", cache.store),
            not_stored_reason=cache.not_stored_reason,
            key_fingerprint=cache.key_fingerprint,
            age=seconds(cache, "age"),
        )


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the answers, where the node asks for several."""

    index: int
    text: str
    reasoning: str
    json_text: str
    """With a JSON output: the JSON, verbatim and checked by the worker."""
    tool_calls: tuple[ToolCall, ...]
    finish_reason: str
    """`stop`, `length`, `tool_calls` or `function_call`."""
    logprobs: str
    """JSON text, where the node asks for it."""

    @classmethod
    def of(cls, choice: pb.Choice) -> Choice:
        """Reads the message."""
        return cls(
            index=choice.index,
            text=choice.text,
            reasoning=choice.reasoning,
            json_text=choice.json,
            tool_calls=tuple(map(ToolCall.of, choice.tool_calls)),
            finish_reason=choice.finish_reason,
            logprobs=choice.logprobs,
        )


@dataclass(frozen=True, slots=True)
class Embeddings(Sequence["array[float]"]):
    """The vectors of texts, in their order, each an array of 32-bit floats.

    As bytes they are at hand for others: `numpy.frombuffer(embeddings.packed, "<f4")`.
    """

    dimensions: int
    packed: bytes
    """All vectors, one after the other: 32-bit floats, little-endian."""
    cached: int
    """Texts found in the cache."""
    joined: int
    """Texts that another execution was requesting."""
    executed: int
    """Texts that this execution requested, and paid for."""
    repeated: int
    """Texts equal to an earlier one."""
    tokens_estimated: bool
    """True where `usage` has a text's estimated share of a request's tokens."""

    @classmethod
    def of(cls, embeddings: pb.Embeddings | None) -> Embeddings | None:
        """Reads the message; an answer of text has none."""
        if embeddings is None:
            return None
        return cls(
            dimensions=embeddings.dimensions,
            packed=embeddings.vectors,
            cached=embeddings.cached,
            joined=embeddings.joined,
            executed=embeddings.executed,
            repeated=embeddings.repeated,
            tokens_estimated=embeddings.tokens_estimated,
        )

    def __len__(self) -> int:
        return self.cached + self.joined + self.executed + self.repeated

    @overload
    def __getitem__(self, index: int) -> array[float]: ...

    @overload
    def __getitem__(self, index: slice) -> list[array[float]]: ...

    def __getitem__(self, index: int | slice) -> array[float] | list[array[float]]:
        """Returns the vector of a text, or those of several."""
        places = range(len(self))[index]
        if isinstance(places, range):
            return [self._at(place) for place in places]
        return self._at(places)

    def _at(self, place: int) -> array[float]:
        size = FLOAT_BYTES * self.dimensions
        vector = array("f", self.packed[place * size : (place + 1) * size])
        if sys.byteorder == "big":
            vector.byteswap()
        return vector


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. Its text, tool calls and JSON are those of the first choice."""

    choices: tuple[Choice, ...]
    embeddings: Embeddings | None
    """The vectors, where texts were embedded; there is no choice then."""
    usage: Usage
    cost: Cost | None
    """None where the model's price is unknown."""
    timing: Timing
    attempts: int
    """Calls of the provider, failed ones included; 0 for a hit."""
    cache: CacheOutcome
    provider_request_id: str
    model: str

    @classmethod
    def of(cls, completed: pb.Completed) -> Answer:
        """Reads the message."""
        return cls(
            choices=tuple(map(Choice.of, completed.choices)),
            embeddings=Embeddings.of(optional(completed, "embeddings")),
            usage=Usage.of(completed.usage),
            cost=Cost.of(optional(completed, "cost")),
            timing=Timing.of(completed.timing),
            attempts=completed.attempts,
            cache=CacheOutcome.of(completed.cache),
            provider_request_id=completed.provider_request_id,
            model=completed.model,
        )

    @property
    def text(self) -> str:
        """The text, without reasoning."""
        return self.choices[0].text

    @property
    def reasoning(self) -> str:
        """The reasoning."""
        return self.choices[0].reasoning

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The tool calls."""
        return self.choices[0].tool_calls

    @property
    def finish_reason(self) -> str:
        """`stop`, `length`, `tool_calls` or `function_call`."""
        return self.choices[0].finish_reason

    def json(self, **options: Any) -> Any:
        """Parses a JSON output; `options` are those of `json.loads`, such as `parse_float`."""
        return json.loads(self.choices[0].json_text, **options)
