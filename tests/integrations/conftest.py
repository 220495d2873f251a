"""What the tests share: a worker of a simulated provider, and the code of a page."""

from __future__ import annotations

import importlib
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "clients/python/tests"))

from harness import Simulator, Worker  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

MODEL = "accounts/fireworks/models/glm-5p3"


@pytest.fixture(scope="session")
def provider() -> Iterator[Simulator]:
    with Simulator() as simulator:
        yield simulator


@pytest.fixture(scope="session")
def worker(provider: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """A worker that clients find by its variable, with the credential that the pages name."""
    secrets = tmp_path_factory.mktemp("secrets")
    (secrets / "team-fireworks").write_text("fw_team")
    with Worker(provider, "--secrets-dir", secrets) as worker:
        os.environ["SPARKLER_WORKER"] = worker.url
        yield worker


@pytest.fixture
def simulator(provider: Simulator, worker: Worker) -> Simulator:
    """The provider, with nothing scripted and nothing counted."""
    provider.script()
    worker.lines.clear()
    return provider


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], ModuleType]:
    """Imports a block of a page: the one that begins with the comment of this file's name."""
    monkeypatch.syspath_prepend(tmp_path)

    def load(page: str, name: str) -> ModuleType:
        (tmp_path / name).write_text(block(page, name))
        monkeypatch.delitem(sys.modules, name.removesuffix(".py"), raising=False)
        return importlib.import_module(name.removesuffix(".py"))

    return load


def block(page: str, name: str) -> str:
    """Returns the block of a page that has this name."""
    text = (ROOT / "docs/integrations" / page).read_text()
    found = re.search(rf"^```\w+\n# {re.escape(name)}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert found, f"{page} has no block {name}"
    return found[1]
