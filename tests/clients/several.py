"""Calls several workers through gRPC's own client, by the service config alone.

For each call: one line with the worker that answered, or the code of the failure.
It goes on until it is told the end of its input.
"""

import sys
import threading
import time
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"
sys.path.insert(0, str(EXAMPLES / "python" / "gen"))

import grpc  # noqa: E402
from sparkler.worker.v1 import worker_pb2 as api  # noqa: E402
from sparkler.worker.v1.worker_pb2_grpc import WorkerServiceStub  # noqa: E402

options = [
    ("grpc.service_config", (EXAMPLES / "service_config.json").read_text()),
    # A list of addresses is no name that HTTP/2 lets a host have.
    ("grpc.default_authority", "workers"),
]
channel = grpc.insecure_channel(f"ipv4:{','.join(sys.argv[1:])}", options)
worker = WorkerServiceStub(channel)
request = api.ExecuteNodeRequest(
    node_type="chatFireworks",
    config={"modelName": "accounts/fireworks/models/glm-5p3"},
    prompt="Who answers?",
    credential=api.Credential(api_key="fw_clients"),
)

told = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), told.set()), daemon=True).start()
while not told.is_set():
    try:
        responses = list(worker.ExecuteNode(request, timeout=20))
        print(responses[0].started.worker_id, flush=True)
    except grpc.RpcError as error:
        print(error.code().name, error.details(), flush=True)
    time.sleep(0.02)
