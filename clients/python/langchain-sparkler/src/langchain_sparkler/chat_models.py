"""The chat model."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import replace
from operator import itemgetter
from typing import Any, Literal

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LangSmithParams, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.utils import count_tokens_approximately
from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough, ensure_config
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import Field
from sparkler_client import Cache, Context, Limits

from ._messages import conversation
from ._output import chunk, result
from ._worker import Mode, WorkerModel

# Keys of a run's metadata that say where in which flow it stands; LangGraph sets the last two.
CONTEXT = {name: name for name in ("flow_id", "run_id", "node_id", "session_id", "tenant")} | {
    "thread_id": "session_id",
    "langgraph_node": "node_id",
}

# Keyword arguments of LangChain's that no model sees.
UNSENT = ("stream", "stream_usage", "ls_structured_output_format")

RunManager = CallbackManagerForLLMRun | AsyncCallbackManagerForLLMRun | None


class ChatSparkler(WorkerModel, BaseChatModel):
    """A chat model of Fireworks, executed by a Sparkler worker.

        model = ChatSparkler(model="accounts/fireworks/models/glm-5p3")
        model.invoke("Why is the sky blue?")

    Fields that are not given come from the environment: `FIREWORKS_API_KEY`, `SPARKLER_WORKER`
    and the other variables of `sparkler_client.Sparkler`.
    """

    temperature: float | None = None
    max_tokens: int | None = None
    stop: list[str] | None = None
    model_kwargs: dict[str, Any] = Field(default_factory=dict)
    """Other fields of the node `chatFireworks`."""
    streaming: bool = False
    stream_usage: bool = True
    worker_cache: Mode | Cache | None = None
    """Whether answers come from, and go to, the worker's cache."""

    @property
    def _llm_type(self) -> str:
        return "chat-sparkler"

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """LangChain loads only its own classes again."""
        return False

    @property
    def lc_secrets(self) -> dict[str, str]:
        """Names the variables to find secrets in."""
        return {"api_key": "FIREWORKS_API_KEY", "worker_token": "SPARKLER_WORKER_TOKEN"}

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model_name": self.model_name, **self._settings(None), **self.model_kwargs}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        settings = self._settings(stop) | kwargs
        params = LangSmithParams(
            ls_provider="fireworks",
            ls_model_type="chat",
            ls_model_name=kwargs.get("model", self.model_name),
        )
        if "temperature" in settings:
            params["ls_temperature"] = settings["temperature"]
        if "max_tokens" in settings:
            params["ls_max_tokens"] = settings["max_tokens"]
        if "stop" in settings:
            params["ls_stop"] = settings["stop"]
        return params

    def get_num_tokens(self, text: str) -> int:
        """Estimates a text's tokens; no tokenizer is downloaded for it."""
        return math.ceil(len(text.encode()) / 4)

    def get_num_tokens_from_messages(
        self, messages: list[BaseMessage], tools: Sequence[Any] | None = None
    ) -> int:
        """Estimates the tokens of a conversation."""
        offered: dict[str, Any] = {"tools": list(tools)} if tools else {}
        return count_tokens_approximately(messages, **offered)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        options = self._options(messages, stop, run_manager, kwargs)
        with self._sync().execute(**options, deltas=False) as run:
            return result(run.answer())

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        options = self._options(messages, stop, run_manager, kwargs)
        async with self._async().execute(**options, deltas=False) as run:
            return result(await run.answer())

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        usage = kwargs.get("stream_usage", self.stream_usage)
        options = self._options(messages, stop, run_manager, kwargs)
        # Leaving the loop, also by closing the generator, stops the provider.
        with self._sync().execute(**options, deltas=True) as run:
            for event in run:
                if piece := chunk(event, usage=usage):
                    if run_manager:
                        run_manager.on_llm_new_token(piece.text, chunk=piece)
                    yield piece

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        usage = kwargs.get("stream_usage", self.stream_usage)
        options = self._options(messages, stop, run_manager, kwargs)
        async with self._async().execute(**options, deltas=True) as run:
            async for event in run:
                if piece := chunk(event, usage=usage):
                    if run_manager:
                        await run_manager.on_llm_new_token(piece.text, chunk=piece)
                    yield piece

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | dict[str, Any] | bool | None = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Offers tools to the model; `tool_choice` is a tool's name, `auto`, `any` or `none`."""
        formed = [convert_to_openai_tool(tool, strict=strict) for tool in tools]
        if tool_choice:
            kwargs["tool_choice"] = _choice(tool_choice, formed)
        return self.bind(tools=formed, **kwargs)

    def with_structured_output(
        self,
        schema: dict[str, Any] | type | None = None,
        *,
        include_raw: bool = False,
        method: Literal["json_schema", "json_mode", "function_calling"] = "json_schema",
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """Has answers take the form of a schema; the worker checks it, and names what is wrong."""
        if method == "function_calling":
            tools: dict[str, Any] = {"include_raw": include_raw, **kwargs}
            return super().with_structured_output(_required(schema), **tools)
        if method == "json_schema":
            form = convert_to_json_schema(_required(schema), strict=strict)
            bound = self._bind_json(form, method, form)
        else:
            bound = self._bind_json(True, method, schema)
        return _parsed(bound, schema, include_raw=include_raw)

    def _bind_json(
        self, json: bool | dict[str, Any], method: str, schema: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        traced = {"kwargs": {"method": method}, "schema": schema}
        return self.bind(json=json, ls_structured_output_format=traced)

    def _settings(self, stop: list[str] | None) -> dict[str, Any]:
        settings = {
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "stop": stop or self.stop or None,
        }
        return {name: value for name, value in settings.items() if value is not None}

    def _options(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None,
        run_manager: RunManager,
        kwargs: dict[str, Any],
    ) -> dict[str, Any]:
        """Returns the arguments of `execute`; other keyword arguments are the node's fields."""
        fields = {name: value for name, value in kwargs.items() if name not in UNSENT}
        own: dict[str, Any] = {
            name: fields.pop(name)
            for name in ("tools", "json", "idempotency_key", "traceparent")
            if name in fields
        }
        return {
            "messages": conversation(messages),
            "model": fields.pop("model", self.model_name),
            "config": self.model_kwargs | self._settings(stop) | fields,
            **self._credential(),
            "cache": self.worker_cache,
            "limits": self._limits(),
            "context": self._context(run_manager),
            **own,
        }

    def _limits(self) -> Limits:
        """A token that LangChain was given cannot be taken back: nothing may start again."""
        return replace(super()._limits(), allow_restart=False)

    def _context(self, run_manager: RunManager) -> Context:
        metadata = ensure_config().get("metadata", {}) | (
            (run_manager.metadata or {}) if run_manager else {}
        )
        known: dict[str, Any] = {
            CONTEXT[name]: str(metadata[name]) for name in metadata.keys() & CONTEXT.keys()
        }
        return replace(self.context, **known)


def _required(schema: Any) -> Any:
    if schema is None:
        raise ValueError("this method needs a schema; json_mode does without")
    return schema


def _choice(wanted: Any, tools: list[dict[str, Any]]) -> Any:
    """Returns a choice as the provider writes it."""
    if wanted is True or wanted == "any":
        return "required"
    if any(tool["function"]["name"] == wanted for tool in tools):
        return {"type": "function", "function": {"name": wanted}}
    return wanted


def _parsed(
    model: Runnable[LanguageModelInput, AIMessage], schema: Any, *, include_raw: bool
) -> Runnable[LanguageModelInput, Any]:
    """Adds the parser of a schema; with `include_raw`, what cannot be parsed is no failure."""
    pydantic = isinstance(schema, type) and is_basemodel_subclass(schema)
    parser = PydanticOutputParser(pydantic_object=schema) if pydantic else JsonOutputParser()
    if not include_raw:
        return model | parser
    parse = RunnablePassthrough.assign(
        parsed=itemgetter("raw") | parser, parsing_error=lambda _: None
    )
    failed = RunnablePassthrough.assign(parsed=lambda _: None)
    return RunnableMap(raw=model) | parse.with_fallbacks([failed], exception_key="parsing_error")
