"""Certificates for the tests of TLS; made once for each process that runs tests."""

from __future__ import annotations

import ssl
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.support import Authority


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """An authority, a server's pair of files, a client's."""
    authority = Authority(tmp_path_factory.mktemp("pki"))
    chain, key = authority.issue("server")
    client = authority.issue(
        "client", "ann@example.org", common_name="Ann, B.", organization_name="Grün"
    )
    return SimpleNamespace(ca=authority, chain=chain, key=key, client=client)


@pytest.fixture
def trusting(pki: SimpleNamespace) -> ssl.SSLContext:
    """A client's context."""
    context: ssl.SSLContext = pki.ca.client()
    return context


@pytest.fixture
def pair(pki: SimpleNamespace, tmp_path: Path) -> tuple[Path, Path]:
    """Copies of the server's files, to be changed."""
    chain, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    chain.write_bytes(pki.chain.read_bytes())
    key.write_bytes(pki.key.read_bytes())
    return chain, key
