"""A TLS session without a socket: bytes in, bytes out."""

from __future__ import annotations

import random
import ssl
from types import SimpleNamespace

import pytest

from bare_serve.errors import TlsError
from bare_serve.tls import TlsOptions
from bare_serve.tls.certificates import Certificates
from bare_serve.tls.facts import extension, variables
from bare_serve.tls.session import Session

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
BOTH = pytest.mark.parametrize("version", [V12, V13])


class Client:
    """The other end, without a socket as well."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")

    def shake(self) -> bytes:
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        return self.outgoing.read()

    def seal(self, *pieces: bytes) -> bytes:
        for piece in pieces:
            self.tls.write(piece)
        return self.outgoing.read()

    def read(self, data: bytes) -> bytes:
        self.incoming.write(data)
        got = b""
        try:
            while piece := self.tls.read(1 << 16):
                got += piece
        except ssl.SSLWantReadError:
            pass
        return got


def certificates(pki: SimpleNamespace, **more: str) -> Certificates:
    return Certificates(TlsOptions(certfile=str(pki.chain), keyfile=str(pki.key), **more))


def meet(client: Client, session: Session, step: int = 1 << 20) -> bytes:
    """The handshake; the client's bytes come `step` at a time. Gives what was read besides."""
    got = b""
    while data := client.shake():
        for start in range(0, len(data), step):
            got += session.receive(data[start : start + step])
        client.incoming.write(session.take())
    return got


def joined(pki: SimpleNamespace, version: ssl.TLSVersion = V13) -> tuple[Client, Session]:
    client = Client(pki.ca.client(version=version))
    session = Session(certificates(pki).served.context)
    meet(client, session)
    assert session.established
    return client, session


@BOTH
def test_bytes_go_both_ways(pki: SimpleNamespace, version: ssl.TLSVersion) -> None:
    client, session = joined(pki, version)
    assert session.receive(client.seal(b"GET /")) == b"GET /"
    assert client.read(session.encrypt(b"200 OK")) == b"200 OK"
    large = random.Random(1).randbytes(300_000)
    assert session.receive(client.seal(large)) == large
    assert client.read(session.encrypt(memoryview(large))) == large
    assert session.encrypt(b"") == b""


@BOTH
def test_nothing_stays_behind(pki: SimpleNamespace, version: ssl.TLSVersion) -> None:
    """Many records at once, cut anywhere: all that is whole comes out, and nothing later."""
    client, session = joined(pki, version)
    rng = random.Random(7)
    pieces = [rng.randbytes(rng.choice((1, 100, 16_384, 20_000))) for _ in range(50)]
    wire, got = client.seal(*pieces), b""
    while wire:
        cut = rng.choice((1, 5, 1000, 65_536))
        got += session.receive(wire[:cut])
        wire = wire[cut:]
    assert got == b"".join(pieces)


@BOTH
@pytest.mark.parametrize("step", [1, 7])
def test_a_hello_may_trickle(pki: SimpleNamespace, version: ssl.TLSVersion, step: int) -> None:
    client = Client(pki.ca.client(version=version))
    session = Session(certificates(pki).served.context)
    assert meet(client, session, step) == b""
    assert session.established


def test_a_request_may_come_with_the_end_of_the_handshake(pki: SimpleNamespace) -> None:
    client = Client(pki.ca.client())
    session = Session(certificates(pki).served.context)
    session.receive(client.shake())
    client.incoming.write(session.take())
    finished = client.shake()
    assert session.receive(finished + client.seal(b"GET /")) == b"GET /"


@BOTH
def test_the_end_is_said_and_heard(pki: SimpleNamespace, version: ssl.TLSVersion) -> None:
    client, session = joined(pki, version)
    with pytest.raises(ssl.SSLWantReadError):
        client.tls.unwrap()
    assert session.receive(client.outgoing.read()) == b""
    assert session.ended
    assert client.read(session.encrypt(b"still here")) == b"still here"
    with pytest.raises(ssl.SSLZeroReturnError):
        client.read(session.close())
    with pytest.raises(TlsError):
        session.encrypt(b"after the end")


@pytest.mark.parametrize(
    ("data", "reason", "answer"),
    [
        (b"GET / HTTP/1.1\r\n", "plain HTTP", b"HTTP/1.1 400 Bad Request\r\n"),
        (b"DELETE / HTTP/1.1\r\n", "plain HTTP", b"HTTP/1.1 400 Bad Request\r\n"),
        (b"\x00\x01\x02", "does not speak TLS", b""),
        (b"\x16\x03\x01\x00\x05hello", "", b"\x15\x03"),
        (b"\x16\xff\xff\xff\xff" + b"x" * 100, "", b""),
    ],
)
def test_what_is_no_hello_ends_at_once(
    pki: SimpleNamespace, data: bytes, reason: str, answer: bytes
) -> None:
    session = Session(certificates(pki).served.context)
    with pytest.raises(TlsError) as caught:
        session.receive(data)
    assert reason in caught.value.reason
    assert caught.value.reason.isprintable()
    assert caught.value.answer.startswith(answer)
    assert session.close() == b""


def test_spoilt_records_end_it(pki: SimpleNamespace) -> None:
    client, session = joined(pki)
    wire = bytearray(client.seal(b"x" * 100))
    wire[50] ^= 1
    with pytest.raises(TlsError, match=r"bad record mac|decryption failed"):
        session.receive(bytes(wire))


def test_an_old_version_is_refused(pki: SimpleNamespace) -> None:
    client = Client(pki.ca.client(version=V12))
    session = Session(certificates(pki, min_version="1.3").served.context)
    with pytest.raises(TlsError, match="unsupported protocol") as caught:
        session.receive(client.shake())
    assert caught.value.answer.startswith(b"\x15")  # an alert


def test_alpn_says_http_1_1_and_takes_who_only_knows_others(pki: SimpleNamespace) -> None:
    for offered, agreed in ((["h2", "http/1.1"], "http/1.1"), (["h2"], None)):
        context = pki.ca.client()
        context.set_alpn_protocols(offered)
        client, session = Client(context), Session(certificates(pki).served.context)
        meet(client, session)
        assert session.established
        assert client.tls.selected_alpn_protocol() == agreed


@BOTH
def test_a_client_certificate_is_told(pki: SimpleNamespace, version: ssl.TLSVersion) -> None:
    held = certificates(pki, ca_certs=str(pki.ca.file), cert_reqs="required")
    client = Client(pki.ca.client(*pki.client, version=version))
    session = Session(held.served.context)
    meet(client, session)
    environ = variables(session.ssl_object)
    assert environ["SSL_CLIENT_VERIFY"] == "SUCCESS"
    assert environ["SSL_PROTOCOL"] == ("TLSv1.2" if version is V12 else "TLSv1.3")
    assert environ["SSL_CLIENT_CERT"] == pki.client[0].read_text()
    assert environ["SSL_CLIENT_S_DN"].startswith(r"CN=Ann\, B.,")
    assert r"O=Gr\C3\BCn" in environ["SSL_CLIENT_S_DN"]
    assert environ["SSL_CLIENT_I_DN"].endswith("O=trustme v" + environ["SSL_CLIENT_I_DN"][-5:])
    assert int(environ["SSL_CLIENT_M_SERIAL"], 16) > 0
    assert environ["SSL_CLIENT_V_END"].endswith(" GMT")
    told = extension(session.ssl_object, held.served.server_cert, held.served.suites)
    # OpenSSL's client sends the authority along, since it knows it.
    sent = [pki.client[0].read_text(), pki.ca.file.read_text()]
    assert told["client_cert_chain"] == sent
    assert environ["SSL_CLIENT_CERT_CHAIN_0"] == sent[1]
    assert told["client_cert_name"].startswith(r"CN=Ann\, B.,")
    assert "O=Grün" in told["client_cert_name"]
    assert told["client_cert_error"] is None
    assert told["server_cert"] == pki.chain.read_text()
    assert told["tls_version"] == (0x0303 if version is V12 else 0x0304)
    name = client.tls.cipher()
    assert name is not None
    assert (
        told["cipher_suite"]
        == {
            "TLS_AES_256_GCM_SHA384": 0x1302,
            "ECDHE-ECDSA-AES256-GCM-SHA384": 0xC02C,
        }[name[0]]
    )


def test_a_client_without_a_certificate_is_refused_where_one_is_required(
    pki: SimpleNamespace,
) -> None:
    held = certificates(pki, ca_certs=str(pki.ca.file), cert_reqs="required")
    with pytest.raises(TlsError, match="peer did not return a certificate"):
        meet(Client(pki.ca.client()), Session(held.served.context))
    held = certificates(pki, ca_certs=str(pki.ca.file), cert_reqs="optional")
    session = Session(held.served.context)
    meet(Client(pki.ca.client()), session)
    assert variables(session.ssl_object)["SSL_CLIENT_VERIFY"] == "NONE"
    told = extension(session.ssl_object, "", {})
    assert told["client_cert_chain"] == []
    assert told["client_cert_name"] is None


@BOTH
def test_tickets_resume_a_session(pki: SimpleNamespace, version: ssl.TLSVersion) -> None:
    held, context = certificates(pki), pki.ca.client(version=version)
    first, session = Client(context), Session(held.served.context)
    meet(first, session)
    first.read(session.encrypt(b"x"))
    again, session = Client(context), Session(held.served.context)
    again.tls.session = first.tls.session
    meet(again, session)
    assert variables(session.ssl_object)["SSL_SESSION_RESUMED"] == "Resumed"
