"""Commands of the Job and of the workflow, run as a container would run them."""

from __future__ import annotations

import subprocess
import uuid

import pytest
import yaml
from harness import PROGRAM, ROOT

from conftest import block

PLAIN = {"--worker", "--worker-ca", "--worker-token-file"}


@pytest.fixture(params=["job.yaml", "workflow.yaml"])
def arguments(request: pytest.FixtureRequest, worker, simulator) -> list[str]:
    """The arguments, with the placeholders filled and the worker of the test."""
    manifest = yaml.safe_load(block("kubernetes-job.md", request.param))
    if manifest["kind"] == "Job":
        [container] = manifest["spec"]["template"]["spec"]["containers"]
    else:
        container = manifest["spec"]["templates"][0]["container"]
        assert container["command"] == ["/sparkler"]
    kept = [a for a in container["args"] if a.partition("=")[0] not in PLAIN]
    uid = str(uuid.uuid4())
    return [fill(argument, uid) for argument in kept] + [f"--worker={worker.url}"]


def fill(argument: str, uid: str) -> str:
    for name in ("$(JOB)", "{{workflow.name}}"):
        argument = argument.replace(name, "summary")
    for name in ("$(RUN)", "{{workflow.uid}}"):
        argument = argument.replace(name, uid)
    assert "$(" not in argument
    assert "{{" not in argument
    return argument


def execute(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    command = [PROGRAM, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_answer_is_on_stdout_and_paid_once(arguments, simulator, worker) -> None:
    first, again = execute(arguments), execute(arguments)
    assert first.returncode == 0, first.stderr
    assert first.stdout.strip()
    assert (again.returncode, again.stdout) == (0, first.stdout)
    assert simulator.report()["calls"] == 1
    assert worker.logged(2)[0]["flow_id"] == "summary"


def test_a_failure_says_its_reason(arguments) -> None:
    missing = "accounts/fireworks/models/none"
    run = execute([missing.join(a.split("accounts/fireworks/models/glm-5p3")) for a in arguments])
    assert run.returncode == 1
    assert run.stderr.startswith("MODEL_NOT_FOUND: ")


def test_a_wrong_command_line_is_not_retried(arguments) -> None:
    assert execute([*arguments, "--no-such-flag"]).returncode == 2


def test_the_pods_carry_the_label_that_the_chart_lets_in() -> None:
    policies = (ROOT / "deploy/helm/golden").glob("**/*.yaml")
    assert any("sparkler/caller" in policy.read_text() for policy in policies)
