"""Findings of a check."""

from __future__ import annotations

from dataclasses import dataclass

from ._errors import Violation
from ._gen import worker_pb2 as pb
from ._values import word


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer to one question about a node."""

    subject: str
    """`config`, `credential` or `model`."""
    verdict: str
    """`yes`, `no` or `unknown`; never a guess."""
    basis: str
    """What the answer rests on."""
    reason: str
    """With `no`: as `SparklerError.reason`."""
    violations: tuple[Violation, ...]

    @classmethod
    def of(cls, finding: pb.Finding) -> Finding:
        """Reads the message."""
        return cls(
            finding.subject,
            word(pb.Finding.Verdict, "VERDICT_", finding.verdict),
            finding.basis,
            finding.reason,
            tuple(Violation(v.field, v.description) for v in finding.violations),
        )
