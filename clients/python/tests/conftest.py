"""What the tests share."""

from collections.abc import Iterator

import pytest
from harness import Simulator, Worker


@pytest.fixture(scope="session")
def provider() -> Iterator[Simulator]:
    with Simulator() as simulator:
        yield simulator


@pytest.fixture(scope="session")
def shared_worker(provider: Simulator) -> Iterator[Worker]:
    with Worker(provider) as worker:
        yield worker


@pytest.fixture
def simulator(provider: Simulator) -> Simulator:
    """The provider, with nothing scripted and nothing counted."""
    provider.script()
    return provider


@pytest.fixture
def worker(shared_worker: Worker, simulator: Simulator) -> Worker:
    shared_worker.lines.clear()
    return shared_worker
