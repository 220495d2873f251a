"""For programs that run on gevent, such as Dify's plugins."""


def gevent() -> None:
    """Has gRPC yield to gevent; without it, the first call blocks the whole process forever.

    To be called after the standard library has been patched, before the first client is used.
    """
    from grpc.experimental.gevent import init_gevent  # noqa: PLC0415  # needs gevent

    init_gevent()
