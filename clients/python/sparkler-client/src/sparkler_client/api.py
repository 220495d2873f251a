"""Messages of the worker's API, for what the rest of this package does not cover."""

from ._gen.worker_pb2 import *  # noqa: F403
