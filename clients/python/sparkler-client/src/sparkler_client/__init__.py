"""Client of Sparkler, the gRPC worker that executes LLM nodes of visual flows."""

from . import api
from ._answer import (
    Answer,
    CacheOutcome,
    Choice,
    Cost,
    Embeddings,
    PromptPrefix,
    Timing,
    ToolCall,
    Usage,
)
from ._check import Finding
from ._client import AsyncSparkler, Sparkler
from ._errors import (
    InvalidRequestError,
    NotFoundError,
    OutputError,
    RateLimitError,
    RefusedError,
    RunCancelledError,
    SparklerError,
    Spent,
    TimedOutError,
    UnavailableError,
    UnreachableError,
    Violation,
)
from ._events import Completed, Delta, Event, Progress, Restarted, Started, ToolCallFragment
from ._gevent import gevent
from ._models import Model, ModelPrice
from ._request import Cache, Context, Limits
from ._run import AsyncRun, Run

__all__ = [
    "Answer",
    "AsyncRun",
    "AsyncSparkler",
    "Cache",
    "CacheOutcome",
    "Choice",
    "Completed",
    "Context",
    "Cost",
    "Delta",
    "Embeddings",
    "Event",
    "Finding",
    "InvalidRequestError",
    "Limits",
    "Model",
    "ModelPrice",
    "NotFoundError",
    "OutputError",
    "Progress",
    "PromptPrefix",
    "RateLimitError",
    "RefusedError",
    "Restarted",
    "Run",
    "RunCancelledError",
    "Sparkler",
    "SparklerError",
    "Spent",
    "Started",
    "TimedOutError",
    "Timing",
    "ToolCall",
    "ToolCallFragment",
    "UnavailableError",
    "UnreachableError",
    "Usage",
    "Violation",
    "api",
    "gevent",
]
