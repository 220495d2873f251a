"""The models that a credential can use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ._values import dollars, optional

if TYPE_CHECKING:
    from ._gen import worker_pb2 as pb


@dataclass(frozen=True, slots=True)
class ModelPrice:
    """Prices of a model in US dollars per million tokens."""

    tier: str
    """`default`, `priority` or another word of the provider."""
    input: float
    cached_input: float
    """For tokens of the prompt that the provider reads from its own cache."""
    output: float
    price_date: str
    """The date of the price table, `YYYY-MM-DD`."""

    @classmethod
    def of(cls, price: pb.ModelPrice) -> ModelPrice:
        """Reads the message."""
        return cls(
            price.tier,
            dollars(price.input_nanodollars),
            dollars(price.cached_input_nanodollars),
            dollars(price.output_nanodollars),
            price.price_date,
        )


@dataclass(frozen=True, slots=True)
class Model:
    """A model that a credential can use; what the provider does not state is None."""

    name: str
    """As a request's `model`."""
    context_length: int | None
    """The most tokens of prompt and answer together."""
    chat: bool | None
    """Whether it takes part in a conversation."""
    completion: bool | None
    """Whether it continues a text."""
    embeddings: bool | None
    """Whether it returns vectors."""
    tools: bool | None
    """Whether it can call tools."""
    images: bool | None
    """Whether it reads images."""
    reasoning: bool | None
    """Whether it reasons before it answers."""
    serverless: bool | None
    """Whether the provider serves it without a deployment of one's own."""
    end_of_life: str | None
    """The first day on which it is no longer served, `YYYY-MM-DD`."""
    successor: str | None
    """The model that the provider names as its successor."""
    prices: tuple[ModelPrice, ...]
    """By tier; empty where they are unknown."""

    @classmethod
    def of(cls, model: pb.Model) -> Model:
        """Reads the message."""
        return cls(
            name=model.name,
            context_length=optional(model, "context_length"),
            chat=optional(model, "chat"),
            completion=optional(model, "completion"),
            embeddings=optional(model, "embeddings"),
            tools=optional(model, "tools"),
            images=optional(model, "images"),
            reasoning=optional(model, "reasoning"),
            serverless=optional(model, "serverless"),
            end_of_life=model.end_of_life or None,
            successor=model.successor or None,
            prices=tuple(ModelPrice.of(price) for price in model.prices),
        )
