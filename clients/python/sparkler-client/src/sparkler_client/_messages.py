"""Conversations in OpenAI's form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ._gen import worker_pb2 as pb

Message = Mapping[str, Any]

FIELDS = {"role", "content", "tool_calls", "tool_call_id", "reasoning_content"}


def chat(messages: Iterable[Message]) -> pb.Chat:
    """Returns a conversation; a message may leave out what it does not have."""
    return pb.Chat(messages=[_message(message) for message in messages])


def _message(message: Message) -> pb.ChatMessage:
    given = {name: value for name, value in message.items() if value is not None}
    if unknown := given.keys() - FIELDS:
        raise ValueError(f"a message has no {', '.join(sorted(unknown))}, only {sorted(FIELDS)}")
    content = given.get("content", "")
    plain = isinstance(content, str)
    return pb.ChatMessage(
        role=given["role"],
        content=content if plain else "",
        parts=[] if plain else [_part(part) for part in content],
        tool_calls=[_tool_call(call) for call in given.get("tool_calls", ())],
        tool_call_id=given.get("tool_call_id", ""),
        reasoning_content=given.get("reasoning_content", ""),
    )


def _part(part: Message | str) -> pb.ContentPart:
    if isinstance(part, str):
        return pb.ContentPart(text=part)
    match part["type"]:
        case "text":
            return pb.ContentPart(text=part["text"])
        case "image_url":
            image = part["image_url"]
            image = {"url": image} if isinstance(image, str) else image
            return pb.ContentPart(image_url=pb.ImageUrl(**image))
    raise ValueError(f"a part of a message is text or image_url, not {part['type']}")


def _tool_call(call: Message) -> pb.ToolCall:
    function = call["function"]
    return pb.ToolCall(id=call["id"], name=function["name"], arguments=function["arguments"])
