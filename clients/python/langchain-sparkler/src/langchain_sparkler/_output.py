"""Events and answers of a run, as LangChain's messages."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.tool import invalid_tool_call, tool_call, tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from sparkler_client import Answer, Choice, Completed, Delta, Event, ToolCall, Usage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from langchain_core.messages.ai import UsageMetadata

PROVIDER = {"model_provider": "fireworks"}


def chunk(event: Event, *, usage: bool) -> ChatGenerationChunk | None:
    """Returns what an event adds to a streamed message."""
    if isinstance(event, Delta) and event.choice == 0:
        return ChatGenerationChunk(message=_piece(event))
    if isinstance(event, Completed):
        return _end(event.answer, usage=usage)
    return None


def _piece(delta: Delta) -> AIMessageChunk:
    calls = [
        tool_call_chunk(name=c.name or None, args=c.arguments, id=c.id or None, index=c.index)
        for c in delta.tool_calls
    ]
    return AIMessageChunk(
        content=delta.text,
        additional_kwargs=_reasoning(delta.reasoning),
        response_metadata=PROVIDER,
        tool_call_chunks=calls,
    )


def _end(answer: Answer, *, usage: bool) -> ChatGenerationChunk:
    """What is known only at the end is on the last chunk alone: merging adds numbers up."""
    choice = answer.choices[0]
    message = AIMessageChunk(
        content="",
        usage_metadata=_usage(answer.usage) if usage else None,
        response_metadata=_metadata(answer, choice),
        chunk_position="last",
    )
    return ChatGenerationChunk(
        message=message, generation_info={"finish_reason": choice.finish_reason}
    )


def result(answer: Answer) -> ChatResult:
    """Returns a whole answer, with all its choices."""
    return ChatResult(
        generations=[_generation(answer, choice) for choice in answer.choices],
        llm_output={"model_name": answer.model},
    )


def _generation(answer: Answer, choice: Choice) -> ChatGeneration:
    calls, broken = _tool_calls(choice.tool_calls)
    message = AIMessage(
        content=choice.json_text or choice.text,
        additional_kwargs=_reasoning(choice.reasoning),
        tool_calls=calls,
        invalid_tool_calls=broken,
        usage_metadata=_usage(answer.usage),
        response_metadata=_metadata(answer, choice),
    )
    return ChatGeneration(message=message, generation_info={"finish_reason": choice.finish_reason})


def _reasoning(text: str) -> dict[str, str]:
    return {"reasoning_content": text} if text else {}


def _tool_calls(calls: Iterable[ToolCall]) -> tuple[list[Any], list[Any]]:
    good, broken = [], []
    for call in calls:
        try:
            arguments = json.loads(call.arguments or "{}")
            good.append(tool_call(name=call.name, args=arguments, id=call.id))
        except json.JSONDecodeError as problem:
            broken.append(
                invalid_tool_call(
                    name=call.name, args=call.arguments, id=call.id, error=str(problem)
                )
            )
    return good, broken


def _usage(usage: Usage) -> UsageMetadata | None:
    sent, made = usage.prompt_tokens, usage.completion_tokens
    if sent is None or made is None:
        return None
    total = usage.total_tokens or sent + made
    counts: dict[str, Any] = {"input_tokens": sent, "output_tokens": made, "total_tokens": total}
    if usage.cached_tokens is not None:
        counts["input_token_details"] = {"cache_read": usage.cached_tokens}
    if usage.reasoning_tokens is not None:
        counts["output_token_details"] = {"reasoning": usage.reasoning_tokens}
    return cast("UsageMetadata", counts)


def _metadata(answer: Answer, choice: Choice) -> dict[str, Any]:
    worker: dict[str, Any] = {"cache": answer.cache.status, "attempts": answer.attempts}
    if answer.cost:
        worker |= {"spent_usd": answer.cost.spent, "saved_usd": answer.cost.saved}
    metadata = {
        **PROVIDER,
        "model_name": answer.model,
        "finish_reason": choice.finish_reason,
        "provider_request_id": answer.provider_request_id,
        "sparkler": worker,
    }
    return metadata | ({"logprobs": json.loads(choice.logprobs)} if choice.logprobs else {})
