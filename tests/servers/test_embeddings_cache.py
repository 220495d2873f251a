"""Lists of texts through the cache of LiteLLM's proxy and through a worker's, beside each other.

Both are in front of the same simulated provider. The worker's column is asserted, LiteLLM's
is only printed: `tests/servers/run -k embeddings_cache` prints the table of docs/embeddings.md.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from itertools import zip_longest
from typing import TYPE_CHECKING, Protocol

import pytest
import yaml
from harness import PATIENCE, PROGRAM, Worker

from server import BIN, Server, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness import Simulator

MODEL = "accounts/simulator/models/embedding"
KEY = "fw_gateway"
Vector = tuple[float, ...]
# The place in the list that a vector says it has, and the vector.
Item = tuple[int, Vector]


@dataclass(frozen=True)
class Ask:
    """A list of texts; the names are letters."""

    names: str
    dimensions: int | None = None

    def texts(self, case: str) -> list[str]:
        """Returns texts that no other case has."""
        return [f"{case}: the text {name}" for name in self.names]


@dataclass(frozen=True)
class Case:
    """Lists that are asked for one after the other, or all at once."""

    name: str
    asks: tuple[Ask, ...]
    at_once: bool = False

    def __str__(self) -> str:
        return self.name

    def needed(self) -> int:
        """Returns the number of vectors that differ."""
        return len({(name, ask.dimensions) for ask in self.asks for name in ask.names})


CASES = [
    Case("a list again", (Ask("abc"), Ask("abc"))),
    Case("a list of which some are known", (Ask("ab"), Ask("bcad"))),
    Case("one text of a known list", (Ask("abc"), Ask("b"))),
    Case("the same texts in another order", (Ask("abc"), Ask("cab"))),
    Case("a text that repeats within its list", (Ask("abaa"),)),
    Case("a known text that repeats", (Ask("a"), Ask("aba"))),
    Case("lists that overlap", (Ask("abc"), Ask("bcd"), Ask("cde"))),
    Case("other dimensions", (Ask("ab"), Ask("ab", 8), Ask("ab"))),
    Case("some are known, in other dimensions", (Ask("ab", 8), Ask("abc"), Ask("cab", 8))),
    Case("lists that overlap, at once", (Ask("abc"), Ask("bcd"), Ask("cde")), at_once=True),
]


class Way(Protocol):
    """A way to the vectors of texts."""

    def embed(self, texts: list[str], dimensions: int | None) -> list[Item]: ...


@dataclass(frozen=True)
class Api:
    """The provider's API, at the provider itself or at LiteLLM's proxy."""

    base_url: str

    def embed(self, texts: list[str], dimensions: int | None) -> list[Item]:
        asked = {"model": MODEL, "input": texts, "encoding_format": "float"}
        if dimensions:
            asked["dimensions"] = dimensions
        request = urllib.request.Request(
            f"{self.base_url}/embeddings",
            data=json.dumps(asked).encode(),
            headers={"authorization": f"Bearer {KEY}", "content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            items = json.load(response)["data"]
        return [(item["index"], single(item["embedding"])) for item in items]


@dataclass(frozen=True)
class Sparkler:
    """A worker, called by the command."""

    worker: Worker

    def embed(self, texts: list[str], dimensions: int | None) -> list[Item]:
        config = {"dimensions": dimensions} if dimensions else {}
        command = [PROGRAM, "execute", "--worker", self.worker.url, "--model", MODEL]
        command += ["--cache", "--quiet"]
        run = subprocess.run(
            [*command, "--config", json.dumps(config), "--texts", "-"],
            env={**os.environ, "FIREWORKS_API_KEY": KEY},
            input=json.dumps(texts),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        )
        return list(enumerate(single(json.loads(line)) for line in run.stdout.splitlines()))


def single(numbers: list[float]) -> Vector:
    """Returns numbers as 32-bit floats, which is what they are."""
    form = f"<{len(numbers)}f"
    return struct.unpack(form, struct.pack(form, *numbers))


@dataclass(frozen=True)
class Outcome:
    """What came of a case: vectors, those that are wrong, wrong indices, and the texts paid."""

    vectors: int
    wrong: int
    misplaced: int
    seen: int

    def __str__(self) -> str:
        wrong = f"{self.wrong} of {self.vectors} wrong" if self.wrong else "all right"
        misplaced = f", {self.misplaced} with a wrong `index`" if self.misplaced else ""
        return f"{self.seen} texts, {wrong}{misplaced}"


def play(case: Case, way: Way, provider: Simulator) -> Outcome:
    """Asks for a case's lists, and compares each vector with that of its text alone."""

    def embed(ask: Ask) -> list[Item]:
        return way.embed(ask.texts(case.name), ask.dimensions)

    before = provider.report()["texts"]
    with ThreadPoolExecutor(len(case.asks) if case.at_once else 1) as callers:
        lists = list(callers.map(embed, case.asks))
    seen = provider.report()["texts"] - before
    wanted = [expected(ask, case, provider) for ask in case.asks]
    both = zip(lists, wanted, strict=True)
    pairs = [pair for one in both for pair in zip_longest(*one, fillvalue=(-1, ()))]
    wrong = sum(got != want for (_, got), (_, want) in pairs)
    misplaced = sum(got != want for (got, _), (want, _) in pairs)
    return Outcome(len(pairs), wrong, misplaced, seen)


def expected(ask: Ask, case: Case, provider: Simulator) -> list[Item]:
    """Returns what the provider itself says of each text alone."""
    alone = Api(provider.base_url)
    items = [alone.embed([text], ask.dimensions) for text in ask.texts(case.name)]
    return [(place, vector) for place, [(_, vector)] in enumerate(items)]


@pytest.fixture(scope="module")
def litellm(provider: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    folder, port = tmp_path_factory.mktemp("litellm"), free_port()
    upstream = {"model": f"openai/{MODEL}", "api_base": provider.base_url, "api_key": KEY}
    upstream["allowed_openai_params"] = ["dimensions"]
    cache = {"type": "local", "supported_call_types": ["embedding", "aembedding"]}
    config = {
        "model_list": [{"model_name": MODEL, "litellm_params": upstream}],
        "general_settings": {"master_key": KEY},
        "litellm_settings": {"cache": True, "cache_params": cache, "telemetry": False},
    }
    (folder / "litellm.yaml").write_text(yaml.safe_dump(config))
    command = [BIN / "litellm", "--host", "127.0.0.1", "--port", port, "--num_workers", 1]
    command += ["--config", "litellm.yaml"]
    offline = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
    health = "/health/liveliness"
    with Server(command, port, folder, health=health, environment=offline) as server:
        yield Api(server.base_url)


@pytest.fixture(scope="module")
def sparkler(provider: Simulator) -> Iterator[Sparkler]:
    with Worker(provider) as worker:
        yield Sparkler(worker)


@pytest.fixture(scope="module")
def table(request: pytest.FixtureRequest) -> Iterator[list[str]]:
    """Collects the rows of the table, and prints it at the end."""
    rows: list[str] = []
    yield rows
    head = [f"| lists | needed | LiteLLM {version('litellm')} | Sparkler |", "|---|---|---|---|"]
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print("\n", *head, *rows, sep="\n")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_vector_is_right_and_paid_once(
    case: Case, provider: Simulator, litellm: Api, sparkler: Sparkler, table: list[str]
) -> None:
    beside = play(case, litellm, provider)
    ours = play(case, sparkler, provider)
    table.append(f"| {case} | {case.needed()} | {beside} | {ours} |")
    asked = sum(len(ask.names) for ask in case.asks)
    assert ours == Outcome(asked, wrong=0, misplaced=0, seen=case.needed())
