"""A traced execution, looked up in a tracing backend that knows LLM calls.

Starts Arize Phoenix, a simulated Fireworks and a worker that exports its
calls to Phoenix; executes once; asks Phoenix for the trace, and checks the spans that
people would look for. With a second argument, writes a picture of the trace as
Phoenix shows it.

    check.py PROGRAM [PICTURE]
"""

import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from contextlib import ExitStack
from pathlib import Path

HERE = Path(__file__).parent
PROJECT = "sparkler"
MODEL = "accounts/fireworks/models/glm-5p3"
PATIENCE = 600  # it takes a minute to start; on a machine that is busy, many


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def started(stack, log, command, **environment):
    """A program of this run, ended with it, by its own id."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    child = subprocess.Popen(
        command, env=kept | environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL
    )

    def end():
        child.terminate()
        try:
            child.wait(20)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()

    stack.callback(end)
    return child


def until(what, look, child=None):
    """What `look` finds, once it finds something."""
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        if child is not None and child.poll() is not None:
            raise SystemExit(f"{what}: the program ended with {child.returncode}")
        found = look()
        if found:
            return found
        time.sleep(0.2)
    raise SystemExit(f"{what}: not within {PATIENCE} s")


def listens(port):
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


def get(address):
    try:
        with urllib.request.urlopen(address, timeout=10) as response:
            return json.load(response)
    except (OSError, ValueError):
        return None


def check(condition, said):
    if not condition:
        raise SystemExit(f"tests/phoenix: {said}")


def main(program, picture=None):
    phoenix, otlp, fireworks, worker, admin = (free_port() for _ in range(5))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        log = stack.enter_context(open(folder / "log", "w+"))
        server = started(
            stack,
            log,
            [sys.executable, HERE / "serve.py"],
            PHOENIX_HOST="127.0.0.1",
            PHOENIX_PORT=str(phoenix),
            PHOENIX_GRPC_PORT=str(otlp),
            PHOENIX_WORKING_DIR=str(folder / "data"),
            PHOENIX_TELEMETRY_ENABLED="false",
            PHOENIX_ALLOW_EXTERNAL_RESOURCES="false",
            PHOENIX_DISABLE_AGENT_ASSISTANT="true",
            PHOENIX_AGENTS_DISABLE_WEB_ACCESS="true",
        )
        simulator = started(
            stack, log, [program, "simulate", "--listen", f"127.0.0.1:{fireworks}"]
        )
        base = f"http://127.0.0.1:{phoenix}"
        until("Phoenix", lambda: listens(otlp) and get(f"{base}/v1/projects"), server)
        until("the simulator", lambda: listens(fireworks), simulator)
        serving = started(
            stack,
            log,
            [program, "serve", "--listen", f"127.0.0.1:{worker}"]
            + ["--admin-listen", f"127.0.0.1:{admin}"],
            SPARKLER_FIREWORKS_BASE_URL=f"http://127.0.0.1:{fireworks}/inference/v1",
            OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{otlp}",
            OTEL_METRICS_EXPORTER="none",
            SPARKLER_TELEMETRY_CONTENT="true",
            OTEL_BSP_SCHEDULE_DELAY="200",
            OTEL_RESOURCE_ATTRIBUTES=f"openinference.project.name={PROJECT}",
        )
        until("the worker", lambda: listens(worker), serving)
        completed = execute(program, worker)

        spans = until("the trace", lambda: trace(base), server)
        call = check_trace(spans, completed)
        print(f"phoenix: {len(spans)} spans of one trace, with model, tokens, cost and answer")
        if picture:
            take_picture(base, call, folder, picture)


def execute(program, worker):
    """Executes once; what the worker says of it at the end."""
    answer = subprocess.run(
        [program, "execute", "--worker", f"http://127.0.0.1:{worker}", "--model", MODEL]
        + ["--cache", "--events", "Why is the sky blue?"],
        env={"FIREWORKS_API_KEY": "fw_phoenix", "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return json.loads(answer.stdout.splitlines()[-1])["completed"]


def trace(base):
    """The spans, once the last of them to end is there."""
    found = get(f"{base}/v1/projects/{PROJECT}/spans?limit=100")
    spans = found["data"] if found else []
    called = any(span["name"].startswith("chat ") for span in spans)
    return spans if called and root(spans) else None


def root(spans):
    roots = [span for span in spans if not span.get("parent_id")]
    return roots[0] if roots else None


def check_trace(spans, completed):
    """The span of the call of the model, after all of them were checked."""
    check(len({span["context"]["trace_id"] for span in spans}) == 1, "there are several traces")
    check(root(spans)["name"].endswith("/ExecuteNode"), f"the root is {root(spans)['name']}")
    calls = [span for span in spans if span["name"] == f"chat {MODEL}"]
    check(len(calls) == 1, f"{len(calls)} calls of the model in {spans}")
    models = [span["name"] for span in spans if span["span_kind"] == "LLM"]
    check(models == [calls[0]["name"]], f"Phoenix takes {models} for calls of a model")
    attributes = calls[0]["attributes"]
    check(attributes.get("llm.model_name") == MODEL, f"no model in {attributes}")
    for kind, field in [("prompt", "promptTokens"), ("completion", "completionTokens")]:
        count = attributes.get(f"llm.token_count.{kind}")
        said = completed["usage"][field]
        check(str(count) == str(said), f"{count} {kind} tokens, and not {said}")
    answer = completed["choices"][0]["text"]
    check(
        any(key.startswith("llm.output_messages") and answer in str(value) for key, value in attributes.items()),
        f"the answer is not in {attributes}",
    )
    spent = float(root(spans)["attributes"]["sparkler.cost.spent"])
    said = int(completed["cost"]["spentNanodollars"]) / 1e9
    check(said > 0 and abs(spent - said) < 1e-9, f"a cost of {spent}, and not {said}")
    check(all(span["status_code"] != "ERROR" for span in spans), "a span has failed")
    return calls[0]


def take_picture(base, call, folder, picture):
    """The trace as a person sees it, with the call of the model open."""
    (project,) = (
        project["id"]
        for project in get(f"{base}/v1/projects")["data"]
        if project["name"] == PROJECT
    )
    address = f"{base}/projects/{urllib.parse.quote(project)}/traces/{call['context']['trace_id']}"
    address += f"?selectedSpanNodeId={urllib.parse.quote(call['id'])}"
    shot = folder / "trace.png"
    subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"]
        + ["--no-first-run", "--disable-background-networking", "--disable-component-update"]
        + ["--disable-sync", f"--user-data-dir={folder / 'chromium'}", "--window-size=1600,1000"]
        + ["--virtual-time-budget=20000", f"--screenshot={shot}", address],
        check=True,
        timeout=PATIENCE,
        capture_output=True,
    )
    Path(picture).write_bytes(shot.read_bytes())
    print(f"phoenix: {picture} shows it")


if __name__ == "__main__":
    main(*sys.argv[1:])
