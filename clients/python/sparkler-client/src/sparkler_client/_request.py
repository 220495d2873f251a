"""A request, from what a caller gives to the messages of the API."""

from __future__ import annotations

import json as json_text
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, TypeVar

from typing_extensions import TypedDict

from ._gen import worker_pb2 as pb
from ._messages import Message, chat
from ._values import Seconds, duration

CacheMode = Literal["off", "read_write", "read_only", "refresh", "only_if_cached"]
CacheScope = Literal["credential", "tenant", "shared"]
Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """Whether and how an answer may come from, and go to, the worker's cache."""

    mode: CacheMode | None = None
    scope: CacheScope | None = None
    ttl: Seconds | None = None
    salt: str | None = None

    def message(self) -> pb.CachePolicy:
        """Returns the message."""
        policy = pb.CachePolicy(
            mode=f"MODE_{(self.mode or 'unspecified').upper()}",
            scope=f"SCOPE_{(self.scope or 'unspecified').upper()}",
            salt=self.salt or "",
        )
        if self.ttl is not None:
            policy.ttl.CopyFrom(duration(self.ttl))
        return policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of an execution; times are seconds, or timedeltas."""

    connect: Seconds | None = None
    first_token: Seconds | None = None
    idle: Seconds | None = None
    total: Seconds | None = None
    max_attempts: int | None = None
    on_cancel: Literal["abort", "drain"] | None = None
    """`drain` lets the execution run on without this caller: a lost connection is picked up."""
    allow_restart: bool | None = None
    """Lets the worker start again after output was shown: take `Restarted` events into account."""

    def message(self) -> pb.ExecutionLimits:
        """Returns the message."""
        limits = pb.ExecutionLimits(
            max_attempts=self.max_attempts or 0,
            on_cancel=f"ON_CANCEL_{(self.on_cancel or 'unspecified').upper()}",
            allow_restart=bool(self.allow_restart),
        )
        for name in ("connect", "first_token", "idle", "total"):
            if (time := getattr(self, name)) is not None:
                getattr(limits, name).CopyFrom(duration(time))
        return limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Where in which flow an execution stands: for logs and traces, never for the provider."""

    flow_id: str | None = None
    run_id: str | None = None
    node_id: str | None = None
    session_id: str | None = None
    tenant: str | None = None
    attempt: int | None = None
    labels: Mapping[str, str] | None = None

    def message(self) -> pb.ExecutionContext:
        """Returns the message."""
        return pb.ExecutionContext(**_given_of(self))


Settings = TypeVar("Settings", Cache, Limits, Context)


def _given(**values: Any) -> dict[str, Any]:
    """Leaves out what is None, for the field is absent then."""
    return {name: value for name, value in values.items() if value is not None}


def _given_of(settings: Cache | Limits | Context) -> dict[str, Any]:
    return _given(**{f.name: getattr(settings, f.name) for f in fields(settings)})


def over(defaults: Settings, given: Settings | None) -> Settings:
    """Returns the defaults with what a call gives in their place."""
    if given is None:
        return defaults
    return replace(defaults, **_given_of(given))


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """Settings of a client, for calls that do not have their own."""

    model: str | None = None
    api_key: str | None = field(default=None, repr=False)
    secret_name: str | None = None
    cache: Cache = Cache()
    limits: Limits = Limits()
    context: Context = Context()

    def credential(self, api_key: str | None, secret_name: str | None) -> pb.Credential | None:
        """Returns the credential of a call, else the client's."""
        if api_key and secret_name:
            raise ValueError("give api_key or secret_name, not both")
        if not (api_key or secret_name):
            api_key, secret_name = self.api_key, self.secret_name
        if api_key:
            return pb.Credential(api_key=api_key)
        return pb.Credential(secret_name=secret_name) if secret_name else None


class Credentials(TypedDict, total=False):
    """Who pays, for which flow."""

    api_key: str | None
    """The provider's key."""
    secret_name: str | None
    """The name of a credential mounted in the worker, in place of a key."""
    context: Context | None


class CallOptions(TypedDict, total=False):
    """How a call travels."""

    timeout: float | None
    """Seconds until the call is ended on this side, wherever it stands."""
    traceparent: str | None
    """The W3C trace to go on with; else OpenTelemetry's active span, where there is one."""


class NodeOptions(Credentials, total=False):
    """A node, as its flow has it."""

    node: str
    """`chatFireworks` by default, or `fireworks`, or `fireworksEmbeddings` for `texts`."""
    model: str | None
    config: Json | None
    """The node's fields, in camelCase."""
    tools: Sequence[Json] | str | None
    """Tools in OpenAI's form, or as JSON text."""


class ExecuteOptions(NodeOptions, CallOptions, total=False):
    """One execution."""

    messages: Sequence[Message] | None
    """A conversation in OpenAI's form, in place of a prompt."""
    texts: Sequence[str] | None
    """Texts to embed, in place of a prompt; the node is then `fireworksEmbeddings`."""
    json: bool | Json | str
    """Asks for JSON, checked by the worker: True, or the JSON Schema it must meet."""
    deltas: bool | None
    """Whether output comes piece by piece; by default as the run is read."""
    cache: Cache | CacheMode | None
    limits: Limits | None
    idempotency_key: str | None
    """The same key and request are executed once; random by default."""


class CheckOptions(NodeOptions, CallOptions, total=False):
    """One check of a node."""


class ModelsOptions(Credentials, CallOptions, total=False):
    """One list of models."""

    page_size: int
    """The most models of one call; the list has those of all calls."""


class AttachOptions(Credentials, CallOptions, total=False):
    """One run to pick up."""

    after: int
    """The sequence of the last event that was seen; 0 replays everything."""
    deltas: bool | None
    limits: Limits | None


def refuse_unknown(options: Mapping[str, Any], kind: Any) -> None:
    """Refuses a misspelt option, which typed keyword arguments do only for type checkers."""
    if unknown := options.keys() - kind.__optional_keys__:
        known = ", ".join(sorted(kind.__optional_keys__))
        raise TypeError(f"{', '.join(sorted(unknown))}: options are {known}")


def execute_request(
    defaults: Defaults, prompt: str | None, options: ExecuteOptions
) -> pb.ExecuteNodeRequest:
    """Returns the request of one execution."""
    refuse_unknown(options, ExecuteOptions)
    messages, texts = options.get("messages"), options.get("texts")
    if [prompt, messages, texts].count(None) != 2:
        raise ValueError("give one of a prompt, messages and texts")
    node = "chatFireworks" if texts is None else "fireworksEmbeddings"
    cache = options.get("cache")
    cache = Cache(mode=cache) if isinstance(cache, str) else cache
    return pb.ExecuteNodeRequest(
        node_type=options.get("node", node),
        config=_config(defaults, options),
        prompt=prompt,
        chat=chat(messages) if messages is not None else None,
        texts=pb.Texts(texts=texts) if texts is not None else None,
        credential=defaults.credential(options.get("api_key"), options.get("secret_name")),
        context=over(defaults.context, options.get("context")).message(),
        cache=over(defaults.cache, cache).message(),
        output=_output(options.get("json", False), options.get("deltas")),
        limits=over(defaults.limits, options.get("limits")).message(),
        idempotency_key=options.get("idempotency_key") or str(uuid.uuid4()),
    )


def check_request(defaults: Defaults, options: CheckOptions) -> pb.CheckNodeRequest:
    """Returns the request of a check."""
    refuse_unknown(options, CheckOptions)
    return pb.CheckNodeRequest(
        node_type=options.get("node", "chatFireworks"),
        config=_config(defaults, options),
        credential=defaults.credential(options.get("api_key"), options.get("secret_name")),
        context=over(defaults.context, options.get("context")).message(),
    )


def models_request(defaults: Defaults, options: ModelsOptions) -> pb.ListModelsRequest:
    """Returns the request of the first page of models."""
    refuse_unknown(options, ModelsOptions)
    return pb.ListModelsRequest(
        credential=defaults.credential(options.get("api_key"), options.get("secret_name")),
        context=over(defaults.context, options.get("context")).message(),
        page_size=options.get("page_size", 0),
    )


def attach_request(
    defaults: Defaults, token: str, options: AttachOptions
) -> pb.AttachExecutionRequest:
    """Returns the request that picks up an execution."""
    refuse_unknown(options, AttachOptions)
    return pb.AttachExecutionRequest(
        execution_token=token,
        after_sequence=options.get("after", 0),
        credential=defaults.credential(options.get("api_key"), options.get("secret_name")),
        context=over(defaults.context, options.get("context")).message(),
        limits=over(defaults.limits, options.get("limits")).message(),
        **_given(deltas=options.get("deltas")),
    )


def _config(defaults: Defaults, options: NodeOptions) -> dict[str, Any]:
    config = dict(options.get("config") or {})
    model = options.get("model") or defaults.model
    if model and not config.keys() & {"modelName", "model"}:
        config["modelName"] = model
    tools = options.get("tools", config.get("tools"))
    if tools:
        # A Struct loses the order of its keys, which a model sees and the cache distinguishes.
        config["tools"] = tools if isinstance(tools, str) else json_text.dumps(tools)
    return config


def _output(json: bool | Json | str, deltas: bool | None) -> pb.OutputOptions:
    output = pb.OutputOptions(**_given(deltas=deltas))
    if json is not False:
        output.format = pb.OutputOptions.FORMAT_JSON
    if isinstance(json, str):
        output.json_schema = json
    elif not isinstance(json, bool):
        output.json_schema = json_text.dumps(json)
    return output
