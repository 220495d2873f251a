"""The Airflow DAG, run by Airflow itself on a database of its own."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import block


@pytest.fixture(scope="module")
def dags(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("airflow")
    (folder / "dags").mkdir()
    (folder / "dags/sparkler_dag.py").write_text(block("airflow.md", "sparkler_dag.py"))
    os.environ |= {
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "AIRFLOW__CORE__DAGS_FOLDER": str(folder / "dags"),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
    }
    airflow = Path(sys.executable).parent / "airflow"
    subprocess.run([airflow, "db", "migrate"], check=True, capture_output=True, timeout=300)
    return folder / "dags"


@pytest.fixture
def dag(simulator, dags, monkeypatch):
    monkeypatch.syspath_prepend(dags)
    return importlib.import_module("sparkler_dag")


def test_a_task_asks_a_node(dag, simulator, worker) -> None:
    run = dag.answers().test()
    assert run.state == "success"
    [line] = worker.logged()
    assert (line["flow_id"], line["node_id"]) == ("answers", "execute_node")
    assert line["run_id"] == run.run_id


def test_what_cannot_succeed_fails_the_task(dag, simulator, worker, monkeypatch) -> None:
    monkeypatch.setattr(dag, "MODEL", "accounts/fireworks/models/none")
    assert dag.answers().test().state == "failed"
    assert [line["reason"] for line in worker.logged()] == ["MODEL_NOT_FOUND"]
