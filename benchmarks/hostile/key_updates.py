"""A TLS 1.3 client that sends records of its own making, KeyUpdates above all.

Python's `ssl` shakes hands and writes the secret of its side to a key log; from there on the
records are made here (RFC 8446, 5.2, 7.1 to 7.3), and `ssl` is left alone.
"""

from __future__ import annotations

import hmac
import socket
import ssl
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

_APPLICATION_DATA, _HANDSHAKE = 23, 22
_SUITES = {
    "TLS_AES_256_GCM_SHA384": ("sha384", 32, AESGCM),
    "TLS_AES_128_GCM_SHA256": ("sha256", 16, AESGCM),
    "TLS_CHACHA20_POLY1305_SHA256": ("sha256", 32, ChaCha20Poly1305),
}


class KeyUpdater:
    """One connection, after its handshake."""

    def __init__(self, address: tuple[str, int], context: ssl.SSLContext) -> None:
        """`context` gets a key log and TLS 1.3; its certificates are looked at by it as ever."""
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        with tempfile.TemporaryDirectory() as folder:
            context.keylog_filename = f"{folder}/keys"
            self.socket = socket.create_connection(address, timeout=60)
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
            while True:
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    self.socket.sendall(outgoing.read())
                    incoming.write(self.socket.recv(65536))
            self.socket.sendall(outgoing.read())
            lines = Path(f"{folder}/keys").read_text().splitlines()
        [secret] = [line.split()[2] for line in lines if "CLIENT_TRAFFIC_SECRET_0" in line]
        cipher = tls.cipher()
        assert cipher is not None
        self._hash, self._key_size, self._aead = _SUITES[cipher[0]]
        self._take_secret(bytes.fromhex(secret))

    def data(self, plain: bytes) -> bytes:
        """Return a record of application data."""
        return self._record(plain, _APPLICATION_DATA)

    def key_update(self, *, answered: bool = True) -> bytes:
        """Return a KeyUpdate; what follows is encrypted with the next key (RFC 8446, 4.6.3)."""
        record = self._record(b"\x18\x00\x00\x01" + bytes((answered,)), _HANDSHAKE)
        self._take_secret(self._expand(self._secret, b"traffic upd", len(self._secret)))
        return record

    def _take_secret(self, secret: bytes) -> None:
        self._secret = secret
        self._cipher = self._aead(self._expand(secret, b"key", self._key_size))
        self._iv = int.from_bytes(self._expand(secret, b"iv", 12), "big")
        self._sequence = 0

    def _expand(self, secret: bytes, label: bytes, size: int) -> bytes:
        """HKDF-Expand-Label without a context, of one block (RFC 8446, 7.1)."""
        name = b"tls13 " + label
        info = size.to_bytes(2, "big") + bytes((len(name),)) + name + b"\0\1"
        return hmac.digest(secret, info, self._hash)[:size]

    def _record(self, content: bytes, kind: int) -> bytes:
        head = b"\x17\x03\x03" + (len(content) + 17).to_bytes(2, "big")
        nonce = (self._iv ^ self._sequence).to_bytes(12, "big")
        self._sequence += 1
        return head + self._cipher.encrypt(nonce, content + bytes((kind,)), head)
