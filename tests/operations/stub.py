"""The API, by gRPC's own client: these tests are about what that one does by itself."""

from sparkler_client import api


class Stub:
    """A worker's methods, over a channel."""

    def __init__(self, channel):
        self.ExecuteNode = channel.unary_stream(
            "/sparkler.worker.v1.WorkerService/ExecuteNode",
            api.ExecuteNodeRequest.SerializeToString,
            api.ExecuteNodeResponse.FromString,
        )
