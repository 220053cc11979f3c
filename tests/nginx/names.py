"""A name server for one test."""

import socket
import struct
import threading
from types import TracebackType
from typing import Self

A = 1
UNKNOWN = 3


class NameServer:
    """Answers on UDP with the addresses it was given, and that a name is unknown otherwise."""

    def __init__(self) -> None:
        self.addresses: dict[str, str] = {}
        self.silent = False
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", ("127.0.0.1", self.port))

    def _serve(self) -> None:
        with self._socket:
            while True:
                query, sender = self._socket.recvfrom(512)
                if not query:
                    return
                if not self.silent:
                    self._socket.sendto(self._answer(query), sender)

    def _answer(self, query: bytes) -> bytes:
        labels, at = [], 12
        while length := query[at]:
            labels.append(query[at + 1 : at + 1 + length].decode())
            at += length + 1
        question = query[12 : at + 5]
        (kind,) = struct.unpack(">H", query[at + 1 : at + 3])
        address = self.addresses.get(".".join(labels))
        record = b""
        if address and kind == A:
            record = b"\xc0\x0c" + struct.pack(">HHIH", A, 1, 1, 4) + socket.inet_aton(address)
        flags = 0x8180 | (0 if address else UNKNOWN)
        return query[:2] + struct.pack(">HHHHH", flags, 1, int(bool(record)), 0, 0) + question + record
