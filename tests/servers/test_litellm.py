"""LiteLLM's proxy between the worker and the provider: it reads and rewrites all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml
from harness import Worker

from execution import MODEL, UNSEEN, Case, Failed, Target
from gateways import ANSWERS, ENDLESS, FAILURES, NOTHING_REMEMBERED, broken_off
from server import BIN, Server, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness import Simulator

KEY = "sk-gateway"

TABLE = [
    *ANSWERS,
    *FAILURES,
    # It reports either as an error of its own, with code 500.
    *broken_off("PROVIDER_UNAVAILABLE"),
    Case(
        # HTTP 400, "No connected db.": only its database knows more keys than one.
        name="a key that the gateway does not know",
        key="sk-other",
        expect=Failed("REQUEST_REJECTED", safe_to_retry=False),
    ),
    Case(
        name="a key of the gateway that the provider does not know",
        model="stale-key",
        expect=Failed("CREDENTIAL_REJECTED", safe_to_retry=False),
    ),
    Case(
        # HTTP 400 without a code: the gateway says it in words alone.
        name="a model that the gateway does not list",
        model="unlisted",
        expect=Failed("REQUEST_REJECTED", safe_to_retry=False),
    ),
]


def models(base_url: str) -> dict[str, object]:
    """Returns the gateway's configuration: models by name, each with its upstream and key."""

    def listed(name: str, model: str, key: str) -> dict[str, object]:
        upstream = {"model": f"openai/{model}", "api_base": base_url, "api_key": key}
        return {"model_name": name, "litellm_params": upstream}

    none = "accounts/fireworks/models/none"
    upstreams = [
        listed(MODEL, MODEL, "fw_gateway"),
        listed(none, none, "fw_gateway"),
        listed("stale-key", MODEL, "fw_unknown"),
    ]
    return {
        "model_list": upstreams,
        "general_settings": {"master_key": KEY},
        "litellm_settings": {"num_retries": 0, "telemetry": False},
        "router_settings": {"disable_cooldowns": True},
    }


def start(provider: Simulator, folder: Path) -> Server:
    (folder / "litellm.yaml").write_text(yaml.safe_dump(models(provider.base_url)))
    port = free_port()
    command = [BIN / "litellm", "--host", "127.0.0.1", "--port", port, "--num_workers", 1]
    # The price list would otherwise be fetched.
    offline = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
    command += ["--config", "litellm.yaml"]
    return Server(command, port, folder, health="/health/liveliness", environment=offline)


@pytest.fixture(scope="module")
def target(provider: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with (
        start(provider, tmp_path_factory.mktemp("litellm")) as server,
        Worker(server, *NOTHING_REMEMBERED) as worker,
    ):
        yield Target(worker, KEY)


@pytest.mark.parametrize("case", TABLE, ids=str)
def test_outcome(case: Case, target: Target, simulator: Simulator) -> None:
    if case.upstream:
        simulator.script({"faults": list(case.upstream)})
    assert target.outcome(case) == case.expect


def test_a_check_neither_guesses_nor_runs(target: Target, simulator: Simulator) -> None:
    assert target.verdicts() == UNSEEN
    assert "chat_completions" not in simulator.report()["by_endpoint"], "a check has run a model"


def test_a_caller_that_leaves_ends_the_call(target: Target, simulator: Simulator) -> None:
    simulator.script({"faults": list(ENDLESS.upstream)})
    assert target.cancel_after_first_delta(ENDLESS) == 130
    simulator.wait_for(aborted=1, in_flight=0)
