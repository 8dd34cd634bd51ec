"""Revocation lists among the authorities: a client whose certificate was revoked is refused."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path
from types import SimpleNamespace

import pytest

from bare_serve.errors import UsageError
from bare_serve.tls import TlsOptions
from bare_serve.tls.certificates import Certificates
from bare_serve.tls.session import Session, TlsError
from tests.support import Authority, RawClient, eventually, serve
from tests.tls.test_operations import APPS, files
from tests.tls.test_session import BOTH, Client, meet

Pair = tuple[Path, Path]


class Clients:
    """An authority and two clients with certificates of it; `file` is what a server is given."""

    def __init__(self, directory: Path) -> None:
        self.authority = Authority(directory, "clients")
        self.file = directory / "authorities.pem"
        self.good = self.authority.issue("good", "good@example.org")
        self.lost = self.authority.issue("lost", "lost@example.org")
        self.put()

    def put(self, *lists: bytes) -> None:
        fresh = self.file.with_suffix(".new")
        fresh.write_bytes(self.authority.file.read_bytes() + b"".join(lists))
        fresh.replace(self.file)

    def revoke(self, **more: float) -> None:
        self.put(self.authority.revocation_list(self.lost[0], **more))


@pytest.fixture
def clients(tmp_path: Path) -> Clients:
    return Clients(tmp_path)


def held(pki: SimpleNamespace, clients: Clients, cert_reqs: str = "required") -> Certificates:
    return Certificates(
        TlsOptions(
            certfile=str(pki.chain),
            keyfile=str(pki.key),
            ca_certs=str(clients.file),
            cert_reqs=cert_reqs,
        )
    )


def shake(pki: SimpleNamespace, server: Certificates, pair: Pair, version: ssl.TLSVersion) -> None:
    """A whole handshake; TlsError if the server refuses."""
    meet(Client(pki.ca.client(*pair, version=version)), Session(server.served.context))


@BOTH
@pytest.mark.parametrize("cert_reqs", ["optional", "required"])
def test_who_is_on_the_list_is_refused(
    pki: SimpleNamespace, clients: Clients, cert_reqs: str, version: ssl.TLSVersion
) -> None:
    for pair in (clients.good, clients.lost):
        shake(pki, held(pki, clients, cert_reqs), pair, version)
    clients.revoke()
    server = held(pki, clients, cert_reqs)
    shake(pki, server, clients.good, version)
    with pytest.raises(TlsError, match="certificate revoked"):
        shake(pki, server, clients.lost, version)


@BOTH
def test_a_list_that_changes_is_taken_and_no_old_ticket_lets_anybody_in(
    pki: SimpleNamespace,
    clients: Clients,
    version: ssl.TLSVersion,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    server = held(pki, clients)
    context = pki.ca.client(*clients.lost, version=version)
    first, session = Client(context), Session(server.served.context)
    meet(first, session)
    first.read(session.encrypt(b"x"))
    clients.revoke()
    server.reread()
    again = Client(context)
    again.tls.session = first.tls.session
    with pytest.raises(TlsError, match="certificate revoked"):
        meet(again, Session(server.served.context))
    shake(pki, server, clients.good, version)
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.INFO]
    assert said == [f"The authorities in {clients.file} are new."]
    clients.put()
    server.reread()
    shake(pki, server, clients.lost, version)


def test_a_list_that_has_expired_lets_nobody_in_and_is_warned_of(
    pki: SimpleNamespace, clients: Clients, caplog: pytest.LogCaptureFixture
) -> None:
    clients.revoke(days=-0.5)
    server = held(pki, clients)
    assert f"A revocation list in {clients.file} has expired" in caplog.text
    with pytest.raises(TlsError, match="CRL has expired"):
        shake(pki, server, clients.good, ssl.TLSVersion.TLSv1_3)
    caplog.clear()
    clients.revoke()
    server.reread()
    assert "has expired" not in caplog.text
    shake(pki, server, clients.good, ssl.TLSVersion.TLSv1_3)


def test_a_list_that_expires_while_it_is_served_is_warned_of_once(
    pki: SimpleNamespace, clients: Clients, caplog: pytest.LogCaptureFixture
) -> None:
    clients.revoke(days=2 / 86400)
    server = held(pki, clients)

    def warned() -> bool:
        server.tick()
        return "has expired" in caplog.text

    eventually(warned, "the warning")
    server.tick()
    assert caplog.text.count("has expired") == 1


def test_each_authority_of_clients_needs_its_list(
    pki: SimpleNamespace, clients: Clients, tmp_path: Path
) -> None:
    """Else whoever it has revoked would be let in by leaving a list out."""
    other = Authority(tmp_path, "other")
    stranger = other.issue("stranger", "stranger@example.org")
    clients.put(other.file.read_bytes(), clients.authority.revocation_list(clients.lost[0]))
    server = held(pki, clients)
    shake(pki, server, clients.good, ssl.TLSVersion.TLSv1_3)
    with pytest.raises(TlsError, match="unable to get certificate CRL"):
        shake(pki, server, stranger, ssl.TLSVersion.TLSv1_3)
    clients.put(
        other.file.read_bytes(),
        clients.authority.revocation_list(clients.lost[0]),
        other.revocation_list(),
    )
    shake(pki, held(pki, clients), stranger, ssl.TLSVersion.TLSv1_3)


def test_a_list_that_is_damaged_is_refused(pki: SimpleNamespace, clients: Clients) -> None:
    good = clients.authority.revocation_list(clients.lost[0])
    for bad in (good.replace(b"M", b"!"), good[:200], good[:30] + b"AAAA" + good[30:]):
        clients.put(bad)
        with pytest.raises(UsageError, match="or a revocation list that cannot be read"):
            held(pki, clients)


@pytest.mark.parametrize("how", [("--workers", "2"), ("--workers", "0")])
@pytest.mark.parametrize("target", ["apps:wsgi", "apps:asgi"])
def test_a_server_takes_a_new_list_by_itself(
    target: str, how: tuple[str, ...], pki: SimpleNamespace, pair: Pair, clients: Clients
) -> None:
    def is_served(client: Pair) -> bool:
        try:
            with RawClient(server.address).speak_tls(pki.ca.client(*client)) as connection:
                return connection.request().body == b"hello"
        except (ssl.SSLError, ConnectionError):
            return False

    options = ("--ssl-ca-certs", str(clients.file), "--ssl-cert-reqs", "required", *how)
    with serve(target, *APPS, *files(pair), *options, "--log-level", "info") as server:
        assert is_served(clients.lost)
        assert is_served(clients.good)
        clients.revoke()
        for _ in range(4):  # each worker
            eventually(lambda: not is_served(clients.lost), "a refusal")
        assert is_served(clients.good)
        assert "certificate revoked" in server.wait_for_output("no TLS: ")
