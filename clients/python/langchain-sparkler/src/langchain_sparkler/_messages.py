"""LangChain's messages, as the worker takes them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ToolMessage,
    convert_to_openai_messages,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# Parts of a model's own earlier message that travel beside its content, or not at all.
ELSEWHERE = {"reasoning", "thinking", "tool_use", "tool_call", "invalid_tool_call"}


def conversation(messages: Sequence[BaseMessage]) -> list[dict[str, Any]]:
    """Returns messages in OpenAI's form, with the reasoning that the worker gives back."""
    return [_message(message) for message in messages]


def _message(message: BaseMessage) -> dict[str, Any]:
    [plain] = convert_to_openai_messages([message])
    sent: dict[str, Any] = {"role": plain["role"], "content": _content(plain.get("content"))}
    if isinstance(message, ToolMessage):
        sent["tool_call_id"] = message.tool_call_id
    if isinstance(message, AIMessage):
        sent["tool_calls"] = list(_tool_calls(message)) or None
        sent["reasoning_content"] = message.additional_kwargs.get("reasoning_content")
    return sent


def _content(content: Any) -> str | list[dict[str, Any]]:
    if not isinstance(content, list):
        return content or ""
    blocks = [{"type": "text", "text": b} if isinstance(b, str) else b for b in content]
    parts = [_part(block) for block in blocks if block["type"] not in ELSEWHERE]
    if all(part["type"] == "text" for part in parts):
        return "".join(part["text"] for part in parts)
    return parts


def _part(block: dict[str, Any]) -> dict[str, Any]:
    """Leaves out what only other providers read, such as `cache_control`."""
    kind = block["type"]
    if kind not in ("text", "image_url"):
        raise ValueError(f"Fireworks takes text and images, not a {kind} block")
    return {"type": kind, kind: block[kind]}


def _tool_calls(message: AIMessage) -> Iterator[dict[str, Any]]:
    for call in message.tool_calls:
        yield _tool_call(call, json.dumps(call["args"], ensure_ascii=False))
    for broken in message.invalid_tool_calls:
        # A history has only JSON: what the model wrote is quoted in it.
        yield _tool_call(broken, json.dumps({"invalid_json": broken["args"]}))


def _tool_call(call: Any, arguments: str) -> dict[str, Any]:
    function = {"name": call["name"] or "", "arguments": arguments}
    return {"id": call["id"] or "", "type": "function", "function": function}
