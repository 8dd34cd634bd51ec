"""What is wrong with the files of TLS is said in one sentence."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from bare_serve.errors import UsageError
from bare_serve.tls import TlsOptions, context
from tests.support import Authority

Pair = tuple[Path, Path]


def make(chain: Path, key: Path | str = "", **more: Any) -> ssl.SSLContext:
    options = TlsOptions(certfile=str(chain), keyfile=str(key), **more)
    return context.make_context(options, context.read_material(options))


def encrypted(key: Path, password: bytes) -> Path:
    loaded = load_pem_private_key(key.read_bytes(), None)
    how = BestAvailableEncryption(password)
    key.write_bytes(loaded.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how))
    return key


def other_key(chain: Path, key: Path) -> dict[str, Any]:
    made = Authority(chain.parent, "other").issue("other")
    key.write_bytes(made[1].read_bytes())
    return {}


def spoil(chain: Path, key: Path) -> dict[str, Any]:
    chain.write_bytes(re.sub(b"[A-Za-z0-9+/]{20}\n", b"!!\n", chain.read_bytes()))
    return {}


BAD: dict[str, tuple[Callable[[Path, Path], Any], str]] = {
    "no certificate": (lambda c, k: c.unlink(), "--ssl-certfile: cannot read {c}: No such file"),
    "no key": (lambda c, k: k.unlink(), "--ssl-keyfile: cannot read {k}: No such file"),
    "a directory": (lambda c, k: (c.unlink(), c.mkdir()), "--ssl-certfile: cannot read {c}: Is a"),
    "not PEM": (
        lambda c, k: c.write_bytes(b"\x30\x82"),
        "--ssl-certfile: {c} holds no certificate",
    ),
    "the key is none": (lambda c, k: k.write_text("x"), "--ssl-keyfile: {k} holds no private key"),
    "swapped": (lambda c, k: (c.rename(str(c) + "x"), k.rename(c)), "{c} holds no certificate"),
    "another key": (other_key, "the key in {k} does not belong to the certificate in {c}"),
    "damaged": (spoil, "the certificate in {c} or the key in {k} is damaged"),
    "encrypted": (
        lambda c, k: encrypted(k, b"s3cret") and None,
        "--ssl-keyfile: the key in {k} is encrypted; give --ssl-keyfile-password",
    ),
    "wrong password": (
        lambda c, k: encrypted(k, b"s3cret") and {"password": "secret"},
        "--ssl-keyfile-password: it does not open the key in {k}",
    ),
    "bad ciphers": (lambda c, k: {"ciphers": "ROT13"}, "OpenSSL knows no cipher of 'ROT13'"),
    "no authorities": (lambda c, k: {"ca_certs": str(k)}, "--ssl-ca-certs: {k} holds no cert"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_refused(case: str, pair: Pair) -> None:
    chain, key = pair
    do, message = BAD[case]
    more = do(chain, key)
    with pytest.raises(UsageError) as caught:
        make(chain, key, **(more if isinstance(more, dict) else {}))
    assert message.format(c=chain, k=key) in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_key_is_refused(pair: Pair) -> None:
    pair[1].chmod(0)
    with pytest.raises(UsageError, match=r"cannot read .*: Permission denied"):
        make(*pair)


def test_a_certificate_without_its_key_says_what_to_do(pair: Pair) -> None:
    with pytest.raises(UsageError, match=r"holds no private key.*; give .* as --ssl-keyfile"):
        make(pair[0])


def test_an_encrypted_key_opens_with_its_password(pair: Pair) -> None:
    make(pair[0], encrypted(pair[1], b"s3cret"), password="s3cret")


def test_one_file_may_hold_both(pair: Pair) -> None:
    pair[0].write_bytes(pair[0].read_bytes() + pair[1].read_bytes())
    make(pair[0])


def test_without_anonymous_files_a_temporary_one_does(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "memfd_create", raising=False)
    make(*pair)


def test_the_context_is_as_asked(pki: SimpleNamespace) -> None:
    made = make(
        pki.chain, pki.key, ca_certs=str(pki.ca.file), cert_reqs="required", min_version="1.3"
    )
    assert made.verify_mode is ssl.CERT_REQUIRED
    assert made.minimum_version is ssl.TLSVersion.TLSv1_3
    assert len(made.get_ca_certs()) == 1
    plain = make(pki.chain, pki.key, ciphers="ECDHE-ECDSA-AES128-GCM-SHA256")
    assert plain.minimum_version is ssl.TLSVersion.TLSv1_2
    assert plain.options & ssl.OP_NO_RENEGOTIATION
    assert plain.num_tickets == 1
    names = {each["name"] for each in plain.get_ciphers() if each["protocol"] == "TLSv1.2"}
    assert names == {"ECDHE-ECDSA-AES128-GCM-SHA256"}
