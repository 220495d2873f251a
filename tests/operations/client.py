"""Calls a name's workers until its standard input ends, by gRPC's own client with the
service config of examples/. A line for each call: when it began, its first token in
seconds, the worker that answered, or the failure."""

import itertools
import json
import pathlib
import sys
import threading
import time

import grpc
from sparkler_client import api
from stub import Stub

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET, CALLERS, PAUSE = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
NUMBERS, STOP = itertools.count(), threading.Event()


def request():
    asked = api.ExecuteNodeRequest(node_type="chatFireworks", prompt=f"Python's {next(NUMBERS)}?")
    asked.config.update({"modelName": "accounts/fireworks/models/glm-5p3"})
    asked.credential.api_key = "fw_of_the_rollout"
    return asked


def call(stub):
    began, first, worker = time.time(), None, ""
    try:
        for answer in stub.ExecuteNode(request(), timeout=60):
            if answer.HasField("started"):
                worker = answer.started.worker_id
            if answer.HasField("delta") and first is None:
                first = time.time() - began
        return {"began": began, "first": first, "worker": worker}
    except grpc.RpcError as error:
        return {"began": began, "failure": f"{error.code().name}: {error.details()}"}


def caller(stub):
    while not STOP.is_set():
        sys.stdout.write(json.dumps(call(stub)) + "\n")
        time.sleep(PAUSE)


def main():
    sys.stdout.reconfigure(line_buffering=True)
    config = (ROOT / "examples/service_config.json").read_text(encoding="utf-8")
    with grpc.insecure_channel(TARGET, options=[("grpc.service_config", config)]) as channel:
        stub = Stub(channel)
        callers = [threading.Thread(target=caller, args=(stub,)) for _ in range(CALLERS)]
        for thread in callers:
            thread.start()
        sys.stdin.read()
        STOP.set()
        for thread in callers:
            thread.join()


main()
