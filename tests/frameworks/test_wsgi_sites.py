"""What WSGI frameworks do on their own: files, streams, uploads, sessions; and the validator.

Each site is served as it is and inside of `wsgiref.validate`, which raises where the server or
the framework leaves PEP 3333; the examples only inside of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support import ROOT, Server, serve

APPS = Path(__file__).parent / "apps"
SITES = {"flask": "site_flask:app", "django": "site_django:wsgi"}
EXAMPLES = ("hello_wsgi:application", "flask_app:app", "django_app:wsgi")


def validated(target: str) -> str:
    module, name = target.split(":")
    return f"""
from wsgiref.validate import validator
from {module} import {name} as site
app = validator(site)
"""


def found_nothing(server: Server) -> bool:
    return not any(word in server.stderr for word in ("Traceback", "Error", "without being closed"))


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(
            (name, kind), id=f"{name}-{kind}", marks=pytest.mark.xdist_group(f"{name}{kind}")
        )
        for name in SITES
        for kind in ("plain", "validated")
    ],
)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    name, kind = request.param
    env = {"PYTHONPATH": str(APPS)}
    source = validated(SITES[name]) if kind == "validated" else None
    with serve("app:app" if source else SITES[name], "--wsgi", source=source, env=env) as server:
        yield server
        assert server.stop() == 0
        assert found_nothing(server)


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=20) as client:
        yield client


@pytest.fixture
def content(server: Server, request: pytest.FixtureRequest) -> bytes:
    name = request.node.callspec.params["server"][0]
    return (APPS / f"site_{name}.py").read_bytes()


def test_a_file(http: httpx.Client, content: bytes) -> None:
    for _ in range(2):
        answer = http.get("/file")
        assert answer.content == content
        assert answer.headers["content-length"] == str(len(content))
        assert answer.headers["content-type"].startswith("text/x-python")
    head = http.head("/file")
    assert head.status_code == 200
    assert head.content == b""
    assert head.headers["content-length"] == str(len(content))


def test_a_part_of_a_file_and_one_that_has_not_changed(http: httpx.Client, content: bytes) -> None:
    whole = http.get("/file")
    if "accept-ranges" not in whole.headers or "etag" not in whole.headers:
        return  # Django does neither by itself
    part = http.get("/file", headers={"Range": "bytes=10-29"})
    assert (part.status_code, part.content) == (206, content[10:30])
    same = http.get("/file", headers={"If-None-Match": whole.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")


def test_a_stream(http: httpx.Client) -> None:
    with http.stream("GET", "/download/20") as answer:
        assert answer.headers["transfer-encoding"] == "chunked"
        digest = hashlib.sha256()
        for piece in answer.iter_bytes():
            digest.update(piece)
    expected = hashlib.sha256(b"".join(bytes([number]) * 65536 for number in range(20)))
    assert digest.hexdigest() == expected.hexdigest()
    assert http.get("/json").json()["hello"] == "wörld"


@pytest.mark.parametrize("size", [100, 1 << 20])
def test_an_upload(http: httpx.Client, size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    facts = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    assert http.post("/upload", files={"file": ("data.bin", data)}).json() == facts
    assert http.put("/raw", content=data).json() == facts


def test_a_session(http: httpx.Client) -> None:
    assert [http.get("/visits").json()["visits"] for _ in range(3)] == [1, 2, 3]


@pytest.mark.parametrize("target", EXAMPLES)
def test_the_validator_finds_nothing_in_an_example(target: str) -> None:
    env = {"PYTHONPATH": str(ROOT / "examples")}
    with serve("app:app", "--wsgi", source=validated(target), env=env) as server:
        for method in ("GET", "HEAD"):
            assert httpx.request(method, server.url, timeout=20).status_code == 200
        assert server.stop() == 0
        assert found_nothing(server)
