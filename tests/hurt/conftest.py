"""Certificates for attacks behind TLS; made once for each process that runs tests."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.support import Authority


@dataclass(frozen=True, slots=True)
class Pki:
    """An authority, and what a server is started with to show a certificate of it."""

    ca: Authority
    options: tuple[str, ...]


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    authority = Authority(tmp_path_factory.mktemp("pki"))
    chain, key = authority.issue("server")
    return Pki(authority, ("--ssl-certfile", str(chain), "--ssl-keyfile", str(key)))
