"""Protobuf values as Python has them, and back."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from google.protobuf.duration_pb2 import Duration

if TYPE_CHECKING:
    from google.protobuf.internal.enum_type_wrapper import _EnumTypeWrapper
    from google.protobuf.message import Message

Seconds = float | timedelta


def duration(value: Seconds) -> Duration:
    """Returns a time given in seconds, or as a timedelta."""
    message = Duration()
    message.FromTimedelta(value if isinstance(value, timedelta) else timedelta(seconds=value))
    return message


def seconds(message: Message, field: str) -> float | None:
    """Returns a duration's seconds, or None where it is absent."""
    value = optional(message, field)
    return None if value is None else value.ToTimedelta().total_seconds()


def optional(message: Message, field: str) -> Any:
    """Returns a field's value, or None where it is absent."""
    return getattr(message, field) if message.HasField(field) else None


def word(enum: _EnumTypeWrapper[Any], prefix: str, number: int) -> str:
    """Returns an enum value as a lower-case word; one of a later release is its number."""
    known = number in enum.values()
    return enum.Name(number).removeprefix(prefix).lower() if known else str(number)


def dollars(nanodollars: int) -> float:
    """Returns US dollars."""
    return nanodollars / 1e9
