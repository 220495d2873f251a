"""Connections that are lost, refused, or not made."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

import pytest
import trustme
from harness import Link, Simulator, Worker, says, until
from sparkler_client import (
    AsyncSparkler,
    Delta,
    Limits,
    RefusedError,
    Sparkler,
    Started,
    TimedOutError,
    UnavailableError,
    UnreachableError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

MODEL = "accounts/fireworks/models/glm-5p3"
WORDS = [f"word{number} " for number in range(1, 101)]
SLOWLY = {"faults": [says(*WORDS), {"slow_deltas": {"delay": "5ms"}}]}
DRAIN = Limits(on_cancel="drain")

# Beyond the head and `started`, and well before the end.
CUT_AFTER = 2_000


def connect(url: str, **options) -> Sparkler:
    return Sparkler(url, **{"model": MODEL, "api_key": "fw_python", **options})


def text_of(events) -> str:
    return "".join(event.text for event in events if isinstance(event, Delta))


def test_a_lost_connection_is_picked_up(worker: Worker, simulator: Simulator) -> None:
    simulator.script(SLOWLY)
    with Link(worker.address, CUT_AFTER) as link, connect(link.url, limits=DRAIN) as client:
        events = list(client.execute("Go on."))
    assert text_of(events) == "".join(WORDS)
    started = [event for event in events if isinstance(event, Started)]
    assert started[0].sequence == 0
    assert started[1].sequence > 0
    assert link.connections == 2
    assert simulator.report()["calls"] == 1


async def test_a_lost_connection_is_picked_up_async(worker: Worker, simulator: Simulator) -> None:
    simulator.script(SLOWLY)
    with Link(worker.address, CUT_AFTER) as link:
        async with AsyncSparkler(link.url, model=MODEL, api_key="fw_python") as client:
            run = client.execute("Go on.", limits=DRAIN)
            events = [event async for event in run]
    assert text_of(events) == "".join(WORDS)
    assert simulator.report()["calls"] == 1


def test_without_draining_a_lost_connection_is_an_error(
    worker: Worker, simulator: Simulator
) -> None:
    simulator.script(SLOWLY)
    with Link(worker.address, CUT_AFTER) as link, connect(link.url) as client:
        run = client.execute("Go on.")
        with pytest.raises(UnavailableError, match="CONNECTION_LOST") as failure:
            list(run)
        assert failure.value.retryable
        with pytest.raises(UnavailableError, match="CONNECTION_LOST"):
            run.answer()
    simulator.wait_for(aborted=1)


def test_a_connection_of_old_age_is_replaced(provider: Simulator, simulator: Simulator) -> None:
    simulator.script({"faults": [says(*WORDS), {"slow_deltas": {"delay": "30ms"}}]})
    ages = ("--max-connection-age", "1s", "--max-connection-age-grace", "1s")
    with Worker(provider, *ages) as worker, connect(worker.url) as client:
        events = list(client.execute("Go on."))
    assert text_of(events) == "".join(WORDS)
    assert sum(isinstance(event, Started) for event in events) > 1
    assert simulator.report()["calls"] == 1


def test_another_client_ends_what_one_began(worker: Worker, simulator: Simulator) -> None:
    simulator.script(SLOWLY)
    with connect(worker.url, limits=DRAIN) as client, client.execute("Go on.") as run:
        seen = []
        for event in run:
            seen.append(event)
            if text_of(seen):
                break
    with connect(worker.url) as other:
        rest = list(other.attach(run.token, after=run.sequence))
        whole = other.attach(run.token).answer()
    assert text_of(seen) + text_of(rest) == "".join(WORDS) == whole.text
    assert simulator.report()["calls"] == 1


def test_a_call_ends_in_its_time(worker: Worker, simulator: Simulator) -> None:
    simulator.script({"faults": [{"stall": {"after_deltas": 0}}]})
    with connect(worker.url) as client, pytest.raises(TimedOutError) as failure:
        client.execute("Forever?", timeout=0.3).answer()
    assert failure.value.reason in ("CALL_TIMEOUT", "TOTAL_TIMEOUT")
    simulator.wait_for(in_flight=0)


def test_who_does_not_answer_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with connect(url) as client, pytest.raises(UnreachableError) as failure:
            client.execute("Anybody?").answer()
    assert str(failure.value).startswith(f"WORKER_UNREACHABLE: no worker answers at {url};")
    assert failure.value.retryable


def test_a_full_worker_is_asked_again(provider: Simulator, simulator: Simulator) -> None:
    simulator.script({"faults": [{"stall": {"after_deltas": 0}}], "prompt": "Hold"})
    one_at_a_time = ("--max-executions", "1", "--queue-length", "0")
    with (
        Worker(provider, *one_at_a_time) as worker,
        connect(worker.url) as client,
        client.execute("Hold the place.") as holding,
    ):
        events = iter(holding)  # while it is read, it runs
        next(events)
        with client.execute("Then me.") as waiting:
            until(lambda: refusals(worker) or None, lambda: "a refusal")
            holding.cancel()
            assert waiting.answer().text


def refusals(worker: Worker) -> list[str]:
    return [line for line in list(worker.lines) if "WORKER_SATURATED" in line]


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    files = {"ca": str(folder / "ca.pem")}
    for name, identity in (("worker", "127.0.0.1"), ("caller", "caller.example")):
        leaf = authority.issue_cert(identity)
        leaf.private_key_pem.write_to_path(str(folder / f"{name}.key"))
        leaf.cert_chain_pems[0].write_to_path(str(folder / f"{name}.pem"))
        files |= {f"{name}_{kind}": str(folder / f"{name}.{kind}") for kind in ("pem", "key")}
    return files


@pytest.fixture
def tls_worker(provider: Simulator, authority) -> Iterator[str]:
    pair = ("--tls-cert-file", authority["worker_pem"], "--tls-key-file", authority["worker_key"])
    with Worker(provider, *pair, "--tls-client-ca-file", authority["ca"]) as worker:
        yield f"https://{worker.address}"


def test_a_client_certificate_opens_the_door(tls_worker: str, authority, simulator) -> None:
    own = {"cert_file": authority["caller_pem"], "key_file": authority["caller_key"]}
    with connect(tls_worker, ca_file=authority["ca"], **own) as client:
        assert client.execute("Let me in.").answer().text
    unknown = connect(tls_worker, ca_file=authority["ca"])
    with unknown, pytest.raises(UnreachableError):
        unknown.execute("Let me in.").answer()


def test_a_token_file_is_read_for_each_call(provider, simulator, tmp_path) -> None:
    callers, token = tmp_path / "callers.json", tmp_path / "token"
    callers.write_text('{"callers": [{"name": "flows", "tokens": ["0123456789abcdef"]}]}')
    token.write_text("0123456789abcdef\n")
    with (
        Worker(provider, "--callers-file", callers) as worker,
        connect(worker.url, token_file=token) as client,
    ):
        assert client.execute("Let me in.").answer().text
        token.write_text("another")
        with pytest.raises(RefusedError, match="CALLER_UNAUTHENTICATED"):
            client.execute("Let me in.").answer()


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("127.0.0.1:50051", {}),
        ("ftp://worker", {}),
        ("http://worker/path", {}),
        ("http://user:secret@worker", {}),
        ("http://worker", {"ca_file": "ca.pem"}),
        ("https://worker", {"cert_file": "own.pem"}),
    ],
)
def test_a_wrong_address_is_refused_at_once(url: str, options: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"worker|certificate") as failure:
        Sparkler(url, **options)
    assert "secret" not in str(failure.value)


def test_the_environment_names_worker_and_token(monkeypatch) -> None:
    monkeypatch.setenv("SPARKLER_WORKER", "https://[::1]:7000")
    monkeypatch.setenv("SPARKLER_WORKER_TOKEN", "a secret token")
    client = Sparkler()
    assert client.url == "https://[::1]:7000"
    assert client._endpoint.metadata(None) == (("authorization", "Bearer a secret token"),)
    assert "secret" not in repr(client) + repr(client._endpoint)
    with contextlib.closing(Sparkler("http://elsewhere")) as elsewhere:
        assert elsewhere.url == "http://elsewhere"
