"""Certificates read again: what is new is taken, what is bad is not, and workers follow."""

from __future__ import annotations

import logging
import os
import ssl
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bare_serve.tls import TlsOptions, certificates
from bare_serve.tls.certificates import Certificates
from tests.support import Authority

Pair = tuple[Path, Path]


@pytest.fixture
def held(pair: Pair, pki: SimpleNamespace) -> Certificates:
    return Certificates(
        TlsOptions(certfile=str(pair[0]), keyfile=str(pair[1]), ca_certs=str(pki.ca.file))
    )


def renew(pki: SimpleNamespace, pair: Pair, tmp_path: Path) -> tuple[str, bytes]:
    """The texts of another certificate and its key."""
    made = Authority(tmp_path, "another").issue("renewed")
    return made[0].read_text(), made[1].read_bytes()


def test_a_change_is_taken_once_it_is_whole(
    held: Certificates,
    pair: Pair,
    pki: SimpleNamespace,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    before = held.served
    chain, key = renew(pki, pair, tmp_path)
    held.tick()
    pair[0].write_text(chain)
    held.tick()
    pair[1].write_bytes(key)
    held.tick()
    assert held.served is before, "files change one after the other"
    held.tick()
    assert held.served.server_cert == chain
    assert held.served.context is before.context, "tickets stay good"
    assert [record.levelname for record in caplog.records] == ["INFO"]
    held.tick()
    assert len(caplog.records) == 1


@pytest.mark.parametrize("how", ["half", "damaged", "missing"])
def test_a_bad_one_is_not_taken(
    held: Certificates,
    pair: Pair,
    pki: SimpleNamespace,
    tmp_path: Path,
    how: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    before = held.served
    chain, key = renew(pki, pair, tmp_path)
    if how == "missing":
        pair[0].unlink()
    else:
        pair[0].write_text(chain if how == "half" else chain[:300])
    for _ in range(4):
        held.tick()
    assert held.served is before
    [record] = caplog.records
    assert record.levelname == "ERROR"
    assert "The certificate there was stays." in record.message
    pair[0].write_text(chain)
    pair[1].write_bytes(key)
    held.reread()
    assert held.served.server_cert == chain
    assert caplog.messages[-1].startswith("The certificate is well again: ")
    held.reread()
    assert len([text for text in caplog.messages if "well again" in text]) == 1


def test_one_that_vanishes_and_returns_is_said_to_be_well(
    held: Certificates, pair: Pair, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    served = held.served
    away = tmp_path / "away"
    for times in (1, 2):
        pair[0].rename(away)
        for _ in range(4):
            held.tick()
        away.rename(pair[0])
        for _ in range(4):
            held.tick()
        levels = [record.levelname for record in caplog.records]
        assert levels == ["ERROR", "WARNING"] * times
        assert caplog.messages[-1].startswith("The certificate is well again: ")
    assert held.served is served


def test_other_authorities_make_another_context(
    held: Certificates, pki: SimpleNamespace, tmp_path: Path
) -> None:
    before = held.served.context
    text = pki.ca.file.read_text()
    try:
        pki.ca.file.write_text(Authority(tmp_path, "stranger").file.read_text())
        held.reread()
    finally:
        pki.ca.file.write_text(text)
    assert held.served.context is not before
    [authority] = held.served.context.get_ca_certs()
    assert authority != before.get_ca_certs()[0]


def test_a_worker_follows_its_master(
    held: Certificates, pair: Pair, pki: SimpleNamespace, tmp_path: Path
) -> None:
    """The worker cannot read the files: it is another process, and they are gone."""
    chain, key = renew(pki, pair, tmp_path)
    told, tell = os.pipe()
    go, let_go = os.pipe()
    pid = os.fork()
    if not pid:
        code = 1
        try:
            held.tick()
            assert os.read(go, 1)
            held.tick()
            os.write(tell, held.served.server_cert.encode())
            code = 0
        finally:
            os._exit(code)
    pair[0].write_text(chain)
    pair[1].write_bytes(key)
    held.reread()
    pair[0].unlink()
    pair[1].unlink()
    os.write(let_go, b"x")
    assert os.read(told, 10_000).decode() == chain
    assert os.waitpid(pid, 0)[1] == 0
    for fd in (told, tell, go, let_go):
        os.close(fd)


def test_one_that_has_expired_is_told(
    pki: SimpleNamespace, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import datetime

    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    for end, word in ((now - day, "has expired"), (now + day / 2, "expires within a day")):
        chain, key = pki.ca.issue("old", "localhost", not_before=now - 9 * day, not_after=end)
        held = Certificates(TlsOptions(certfile=str(chain), keyfile=str(key)))
        assert word in caplog.records[-1].message
        assert end.strftime("%Y-%m-%d") in held.describe()
    assert isinstance(held.served.context, ssl.SSLContext)


def test_whoever_reads_in_the_middle_of_an_edition_gets_it_later(
    held: Certificates,
    pair: Pair,
    pki: SimpleNamespace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    worker = Certificates(held.options)
    worker._shared = held._shared
    seen: list[str] = []

    class Watched(struct.Struct):
        def pack_into(self, *rest: Any) -> None:
            super().pack_into(*rest)
            worker._catch_up()
            seen.append(worker.served.server_cert)

    for name in ("_EDITION", "_LENGTHS", "_HEAD"):
        monkeypatch.setattr(certificates, name, Watched(getattr(certificates, name).format))
    before = held.served.server_cert
    chain, key = renew(pki, pair, tmp_path)
    pair[0].write_text(chain)
    pair[1].write_bytes(key)
    held.reread()
    assert seen == [before, before, chain]


@pytest.mark.parametrize(
    "words",
    [(-1, -1, -1, -1), (7, 2**63 - 1, 0, 0), (7, -5, 10, 10), (7, 10, 10, 10), (7, 0, 0, 0)],
)
def test_rubbish_in_the_shared_memory_changes_nothing(
    held: Certificates, caplog: pytest.LogCaptureFixture, words: tuple[int, ...]
) -> None:
    served = held.served
    held._owner = 0  # as in a worker, whose application can write there as well
    struct.pack_into("qqqq", held._shared, 0, *words)
    for _ in range(3):
        held.tick()
    assert held.served is served
    assert len([each for each in caplog.records if each.levelname == "ERROR"]) == 1
