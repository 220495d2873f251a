"""Calls a worker in loops, with and without a stream, while its connections age.

Says how many calls there were; fails if one of them failed.
Usage: looping.py ADDRESS SERIALIZED_EXECUTE_NODE_REQUEST_IN_HEX
"""

import sys
import threading
import time

import grpc

SERVICE = "/sparkler.worker.v1.WorkerService"
SECONDS = 3


def loop(call, failed, until):
    calls = 0
    while time.monotonic() < until:
        try:
            calls += call() or 1
        except grpc.RpcError as error:
            failed.append(f"{error.code()}: {error.details()}")
    return calls


def main():
    address, request = sys.argv[1], bytes.fromhex(sys.argv[2])
    channel = grpc.insecure_channel(address)
    listed = channel.unary_unary(f"{SERVICE}/ListNodeTypes")
    executed = channel.unary_stream(f"{SERVICE}/ExecuteNode")
    failed, counts = [], []
    until = time.monotonic() + SECONDS
    loops = [lambda: listed(b"", timeout=10) and 1, lambda: list(executed(request, timeout=10)) and 1]
    threads = [threading.Thread(target=lambda call=call: counts.append(loop(call, failed, until))) for call in loops]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(f"grpcio: {sum(counts)} calls over connections of 150 ms, {len(failed)} failed")
    if failed or min(counts) < 10:
        sys.exit("\n".join(failed[:5]) or "too few calls")


main()
