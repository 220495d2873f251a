"""A name server of one name, on loopback, as a cluster's is: its answers have a time to
live, and are as old as a cache in between lets them get."""

import socket
import struct
import threading
import time

A, CNAME_POINTER, IN = 1, 0xC00C, 1


class Names:
    """Answers with the addresses of `ready()`, looked up every `stale` seconds."""

    def __init__(self, ready, ttl=5, stale=5.0):
        self.ready, self.ttl, self.stale = ready, ttl, stale
        self.snapshot, self.taken, self.asked = [], 0.0, 0
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            query, caller = self.socket.recvfrom(2048)
            self.socket.sendto(self.answer(query), caller)

    def addresses(self):
        now = time.monotonic()
        if now - self.taken >= self.stale:
            self.snapshot, self.taken = list(self.ready()), now
        return self.snapshot

    def answer(self, query):
        """Any name has these addresses; it has none of another kind."""
        end = query.index(b"\0", 12) + 5
        (kind,) = struct.unpack(">H", query[end - 4 : end - 2])
        found = self.addresses() if kind == A else []
        self.asked += kind == A
        head = query[:2] + struct.pack(">HHHHH", 0x8180, 1, len(found), 0, 0)
        records = b"".join(
            struct.pack(">HHHIH", CNAME_POINTER, A, IN, self.ttl, 4) + socket.inet_aton(address)
            for address in found
        )
        return head + query[12:end] + records
