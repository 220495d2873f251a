"""The example of a RAG flow: ingested again, a folder costs what has changed in it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from harness import ROOT, Simulator, Worker

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLE = ROOT / "examples/rag/rag.py"


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    return shutil.copytree(ROOT / "docs", tmp_path / "docs")


def ingested(docs: Path, worker: Worker) -> tuple[int, int]:
    """Runs the example, and returns the pieces that there are and those embedded now."""
    environment = {
        "SPARKLER_WORKER": worker.url,
        "FIREWORKS_API_KEY": "fw_rag",
    }
    ran = subprocess.run(
        [sys.executable, EXAMPLE, docs, "How is a flight shared?"],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    took, answer = ran.stdout.split("\n", 1)
    assert answer.strip()
    counts = re.fullmatch(r"(\d+) pieces, (\d+) of them embedded now, \$[\d.]+", took)
    assert counts, took
    return int(counts[1]), int(counts[2])


def test_a_changed_file_costs_itself_alone(
    docs: Path, worker: Worker, simulator: Simulator
) -> None:
    pieces, embedded = ingested(docs, worker)
    assert pieces > 50
    assert embedded == pieces
    assert simulator.report()["texts"] == pieces + 1, "the question too"
    assert ingested(docs, worker) == (pieces, 0)
    assert simulator.report()["texts"] == pieces + 1
    changed = docs / "embeddings.md"
    changed.write_text(changed.read_text() + "\nOne more line.\n")
    assert ingested(docs, worker) == (pieces, 1)
    assert simulator.report()["texts"] == pieces + 2
