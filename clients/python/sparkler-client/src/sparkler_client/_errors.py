"""Failures, by what to do about them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from google.rpc import error_details_pb2, status_pb2

from ._answer import Cost, Timing, Usage
from ._gen import worker_pb2 as pb
from ._values import optional

if TYPE_CHECKING:
    from google.protobuf.any_pb2 import Any as Detail

DETAILS = "grpc-status-details-bin"


@dataclass(frozen=True, slots=True)
class Violation:
    """A field that is wrong, such as `config.temperature`."""

    field: str
    description: str


@dataclass(frozen=True, slots=True)
class Spent:
    """What a failed execution used until then."""

    usage: Usage
    cost: Cost | None
    """None where the price or the usage is unknown."""
    timing: Timing
    attempts: int

    @classmethod
    def of(cls, detail: pb.FailureDetail) -> Spent:
        """Reads the message."""
        cost = Cost.of(optional(detail, "cost"))
        return cls(Usage.of(detail.usage), cost, Timing.of(detail.timing), detail.attempts)


class SparklerError(Exception):
    """A call that failed. Its classes say what to do, `reason` what happened."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure)
        self._failure = failure

    def __str__(self) -> str:
        return f"{self.reason}: {self._failure.message}"

    @property
    def reason(self) -> str:
        """Such as `CREDENTIAL_REJECTED`; the worker's docs/errors.md lists all.

        Where no worker said anything: `WORKER_UNREACHABLE`, `CONNECTION_LOST`, `CALL_TIMEOUT`,
        `CALL_CANCELLED` or `CALL_FAILED`.
        """
        return self._failure.reason

    @property
    def message(self) -> str:
        """What happened, to what, and what to do."""
        return self._failure.message

    @property
    def status(self) -> str:
        """The status of gRPC by name, such as `INVALID_ARGUMENT`."""
        return self._failure.code

    @property
    def domain(self) -> str:
        """`fireworks.ai`, `sparkler`, or `client` where no worker said anything."""
        return self._failure.domain

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed later, and is safe to send again."""
        return self._failure.retryable

    @property
    def retry_after(self) -> float | None:
        """Seconds to wait before a retry, where they are known."""
        return self._failure.retry_after

    @property
    def violations(self) -> tuple[Violation, ...]:
        """Every field that is wrong."""
        return self._failure.violations

    @property
    def spent(self) -> Spent | None:
        """What was used until then, where the execution had begun."""
        return self._failure.spent

    @property
    def metadata(self) -> dict[str, str]:
        """`phase`, `http_status`, `provider_code`, `provider_request_id`, where known."""
        return dict(self._failure.metadata)

    @property
    def execution_token(self) -> str:
        """For `attach`, where the worker ended the connection and not the execution."""
        return self._failure.execution_token


class InvalidRequestError(SparklerError):
    """Correct the request: `violations` names every wrong field."""


class RefusedError(SparklerError):
    """Settle the access: the credential, the model, the account, or this caller's token."""


class RateLimitError(SparklerError):
    """Wait for `retry_after`: the provider, the worker or a quota has no room now."""


class UnavailableError(SparklerError):
    """Try again: the provider, the worker or the connection failed."""


class UnreachableError(UnavailableError):
    """No worker answers; nothing was executed."""


class TimedOutError(SparklerError):
    """Raise the limit that `reason` names, or try again."""


class NotFoundError(SparklerError):
    """Execute it: the answer is not in the cache, or the execution is no longer known."""


class OutputError(SparklerError):
    """Ask for less, or for JSON in the prompt: the output is not as it was asked for."""

    @property
    def text(self) -> str:
        """The beginning of the output, up to 2 KiB."""
        return self._failure.text


class RunCancelledError(SparklerError):
    """The run was cancelled, here or by the worker."""


@dataclass(slots=True)
class Failure:
    """The status of a call, its details decoded. Plain data, so that errors can be pickled."""

    code: str
    message: str
    reason: str = ""
    domain: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    retryable: bool = False
    retry_after: float | None = None
    violations: tuple[Violation, ...] = ()
    spent: Spent | None = None
    text: str = ""
    execution_token: str = field(default="", repr=False)

    def error(self) -> SparklerError:
        """Returns the exception of its class."""
        kind = BY_REASON.get(self.reason) or BY_CODE.get(self.code, SparklerError)
        return kind(self)


# Where the status alone does not say what to do.
BY_REASON = {
    "WORKER_UNREACHABLE": UnreachableError,
    "CREDENTIAL_REJECTED": RefusedError,
    "BILLING_REQUIRED": RefusedError,
    "ACCOUNT_SUSPENDED": RefusedError,
    "MODEL_NOT_FOUND": RefusedError,
    "MODEL_RETIRED": RefusedError,
    "IDEMPOTENCY_MISMATCH": InvalidRequestError,
    "OUTPUT_NOT_JSON": OutputError,
    "OUTPUT_SCHEMA_MISMATCH": OutputError,
    "OUTPUT_TOO_LARGE": OutputError,
}

BY_CODE: dict[str, type[SparklerError]] = {
    "INVALID_ARGUMENT": InvalidRequestError,
    "UNIMPLEMENTED": InvalidRequestError,
    "UNAUTHENTICATED": RefusedError,
    "PERMISSION_DENIED": RefusedError,
    "RESOURCE_EXHAUSTED": RateLimitError,
    "UNAVAILABLE": UnavailableError,
    "DEADLINE_EXCEEDED": TimedOutError,
    "NOT_FOUND": NotFoundError,
    "CANCELLED": RunCancelledError,
}

# Failures that are gRPC's own, on this side of the connection.
LOCAL_REASONS = {
    "CANCELLED": "CALL_CANCELLED",
    "DEADLINE_EXCEEDED": "CALL_TIMEOUT",
    "UNAVAILABLE": "CONNECTION_LOST",
}

# Other statuses that a connection gives to its calls as it goes away.
GOING_AWAY = ("h2 protocol error", "transport error", "RST_STREAM")


def decode(error: Any, url: str, *, answered: bool = False) -> SparklerError:
    """Reads the `grpc.RpcError` of a call, which has its status in both kinds of gRPC.

    `answered` says that the worker had begun to answer.
    """
    failure = Failure(error.code().name, error.details() or "")
    trailers = error.trailing_metadata() or ()  # pairs; only newer releases make a dict of them
    details = next((value for name, value in trailers if name == DETAILS), b"")
    status = status_pb2.Status.FromString(details)
    failure.message = status.message or failure.message  # the header's may be shortened
    for detail in status.details:
        _read(detail, failure)
    if not failure.reason:
        _local(failure, url, answered=answered)
    return failure.error()


def _read(detail: Detail, failure: Failure) -> None:
    info, wait = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    bad_request, more = error_details_pb2.BadRequest(), pb.FailureDetail()
    if detail.Unpack(info):
        failure.reason, failure.domain = info.reason, info.domain
        failure.metadata = dict(info.metadata)
        failure.retryable = info.metadata.get("safe_to_retry") == "true"
    elif detail.Unpack(wait):
        failure.retry_after = wait.retry_delay.ToTimedelta().total_seconds()
    elif detail.Unpack(bad_request):
        wrong = bad_request.field_violations
        failure.violations = tuple(Violation(v.field, v.description) for v in wrong)
    elif detail.Unpack(more):
        failure.spent, failure.text = Spent.of(more), more.text
        failure.execution_token = more.execution_token


def _local(failure: Failure, url: str, *, answered: bool) -> None:
    unreachable = failure.code == "UNAVAILABLE" and not answered
    if any(sign in failure.message for sign in GOING_AWAY):
        failure.code = "UNAVAILABLE"
    failure.domain = "client"
    failure.reason = LOCAL_REASONS.get(failure.code, "CALL_FAILED")
    failure.retryable = failure.code in ("UNAVAILABLE", "DEADLINE_EXCEEDED")
    if unreachable:
        failure.reason = "WORKER_UNREACHABLE"
        failure.message = (
            f"no worker answers at {url}; check that it runs there, and the URL"
            f" (SPARKLER_WORKER) ({failure.message})"
        )


def failed(code: str, message: str, *, retryable: bool = False) -> SparklerError:
    """Returns a failure that this side has found."""
    return Failure(code, message, LOCAL_REASONS[code], "client", retryable=retryable).error()
