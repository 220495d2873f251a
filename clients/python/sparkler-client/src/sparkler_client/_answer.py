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
    cached_share: float | None
    """The share of the prompt that was read from the provider's own prompt cache, 0 to 1."""

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
    tier: str
    """The service tier whose rate the cost is by."""
    tier_unpriced: bool
    """True where the table has no rate for the tier: the cost is by the standard rate."""

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
            tier=cost.tier,
            tier_unpriced=cost.tier_unpriced,
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
    source_execution: str
    """The id of the flight that produced the answer."""

    @classmethod
    def of(cls, cache: pb.CacheOutcome) -> CacheOutcome:
        """Reads the message."""
        return cls(
            status=word(pb.CacheStatus, "CACHE_STATUS_", cache.status),
            store=word(pb.StoreStatus, "STORE_STATUS_", cache.store),
            not_stored_reason=cache.not_stored_reason,
            key_fingerprint=cache.key_fingerprint,
            age=seconds(cache, "age"),
            source_execution=cache.source_execution,
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
    """`stop`, `length`, `tool_calls`, `function_call`, `content_filter` or `refusal`."""
    logprobs: str
    """JSON text, where the node asks for it."""
    json_was_fenced: bool
    """True where the JSON was taken out of a fenced block; `text` still has the block."""
    json_unchecked: bool
    """True where the JSON was not checked against its schema, which would have taken too long."""

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
            json_was_fenced=choice.json_was_fenced,
            json_unchecked=choice.json_unchecked,
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
class PromptPrefix:
    """The prompt beside the session's last one of the same node and model."""

    previous_messages: int
    """Messages of the last prompt."""
    first_changed_message: int | None
    """The first message, from 0, that differs; None where one prompt begins with the other."""
    tools_changed: bool

    @classmethod
    def of(cls, prefix: pb.PromptPrefix | None) -> PromptPrefix | None:
        """Reads the message; a session's first call has none."""
        if prefix is None:
            return None
        changed = optional(prefix, "first_changed_message")
        return cls(prefix.previous_messages, changed, prefix.tools_changed)


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
    prompt_prefix: PromptPrefix | None
    """Where the prompt departs from the session's last one; None for a first call or a hit."""
    service_tier: str
    """The tier that served the request; empty where the provider does not say."""

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
            prompt_prefix=PromptPrefix.of(optional(completed, "prompt_prefix")),
            service_tier=completed.service_tier,
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
        """`stop`, `length`, `tool_calls`, `function_call`, `content_filter` or `refusal`."""
        return self.choices[0].finish_reason

    def json(self, **options: Any) -> Any:
        """Parses a JSON output; `options` are those of `json.loads`, such as `parse_float`."""
        return json.loads(self.choices[0].json_text, **options)
