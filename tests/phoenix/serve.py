"""Arize Phoenix, reachable from this machine only: PHOENIX_HOST binds its HTTP
side, and its gRPC side, which asks for every address, is given loopback."""

import sys

from grpc.aio import _server
from phoenix.server.main import main

bind = _server.Server.add_insecure_port
_server.Server.add_insecure_port = lambda self, address: bind(
    self, address.replace("[::]", "127.0.0.1")
)

sys.argv = ["phoenix", "serve"]
main()
