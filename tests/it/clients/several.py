"""Calls several workers through gRPC's own client, by the service config alone.

For each call: one line with the worker that answered, or the code of the failure.
It goes on until the end of its input.
"""

import sys
import threading
import time
from pathlib import Path

import grpc
from sparkler_client import api

SERVICE_CONFIG = Path(__file__).parents[3] / "examples/service_config.json"

options = [
    ("grpc.service_config", SERVICE_CONFIG.read_text()),
    # A list of addresses is no name that HTTP/2 lets a host have.
    ("grpc.default_authority", "workers"),
]
channel = grpc.insecure_channel(f"ipv4:{','.join(sys.argv[1:])}", options)
execute_node = channel.unary_stream(
    "/sparkler.worker.v1.WorkerService/ExecuteNode",
    api.ExecuteNodeRequest.SerializeToString,
    api.ExecuteNodeResponse.FromString,
)
request = api.ExecuteNodeRequest(
    node_type="chatFireworks",
    config={"modelName": "accounts/fireworks/models/glm-5p3"},
    prompt="Who answers?",
    credential=api.Credential(api_key="fw_clients"),
)

ended = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
while not ended.is_set():
    try:
        responses = list(execute_node(request, timeout=20))
        print(responses[0].started.worker_id, flush=True)
    except grpc.RpcError as error:
        print(error.code().name, error.details(), flush=True)
    time.sleep(0.02)
