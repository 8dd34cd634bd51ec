"""Flask, Django, FastAPI and Starlette, really served by two workers to real clients.

Each framework holds the same site (apps/site_*.py) and is served under every interface it speaks
and with both parsers:  GET /json  POST /form  POST /upload (multipart)  PUT /raw
GET /download/<pieces of 64 KiB>  GET /cookies  GET /error (raises); anything else is a 404.
The tests of one server carry one xdist group, so that it is started once.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import httpx
import pytest
import requests

from tests.support import RawClient, Server, eventually, serve

APPS = Path(__file__).parent / "apps"

SITES = {
    "flask-wsgi": ("site_flask:app",),
    "flask-asgi": ("site_flask_asgi:app",),
    "django-wsgi": ("site_django:wsgi",),
    "django-asgi": ("site_django:asgi",),
    "fastapi-asgi": ("site_fastapi:app",),
    "starlette-asgi": ("site_starlette:app",),
}
PARSERS = ("python", "httptools")
# The parser is below both interfaces: one site of each in all runs, the others in the long ones.
ALSO_HTTPTOOLS = ("flask-wsgi", "starlette-asgi")

FILE = os.urandom(1 << 20) * 5
FILE_FACTS = {"size": len(FILE), "sha256": hashlib.sha256(FILE).hexdigest()}
PIECES = 800  # of 64 KiB: 50 MiB

needs_curl = pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")


def download_digest() -> str:
    digest = hashlib.sha256()
    for number in range(PIECES):
        digest.update(bytes([number % 251]) * 65536)
    return digest.hexdigest()


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(
            (site, parser),
            id=(name := f"{site}-{parser}"),
            marks=[
                pytest.mark.xdist_group(name),
                *([] if parser == "python" or site in ALSO_HTTPTOOLS else [pytest.mark.long]),
            ],
        )
        for site, parser in product(SITES, PARSERS)
    ],
)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    site, parser = request.param
    options = ("--workers", "2", "--parser", parser)
    with serve(*SITES[site], *options, "--app-dir", str(APPS)) as server:
        assert f"{parser}" in server.output, "the banner names the parser"
        yield server
        assert server.stop() == 0, server.output


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=20) as client:
        yield client


def test_two_workers_serve(server: Server) -> None:
    assert len(server.workers) == 2


def test_json(server: Server, http: httpx.Client) -> None:
    answer = http.get("/json", params={"q": "ü"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    host = server.url.removeprefix("http://")
    assert answer.json() == {"hello": "wörld", "numbers": [1, 2, 3], "host": host}


def test_form(server: Server) -> None:
    fields = {"name": "Zoë & Co", "city": "Łódź"}
    answer = requests.post(f"{server.url}/form", data=fields, timeout=20)
    assert answer.status_code == 200
    assert answer.json() == fields


def test_upload_of_5_mib_as_multipart(http: httpx.Client) -> None:
    answer = http.post("/upload", files={"file": ("data.bin", FILE)})
    assert answer.status_code == 200
    assert answer.json() == FILE_FACTS


def test_upload_of_5_mib_in_chunks(request: pytest.FixtureRequest, http: httpx.Client) -> None:
    if "flask-asgi" in request.node.name:
        pytest.skip("asgiref tells Flask neither the length nor the end of a chunked body")
    pieces = (FILE[start : start + 100_000] for start in range(0, len(FILE), 100_000))
    answer = http.put("/raw", content=pieces)
    assert "content-length" not in answer.request.headers
    assert answer.status_code == 200
    assert answer.json() == FILE_FACTS


def test_download_of_50_mib(http: httpx.Client) -> None:
    digest, size = hashlib.sha256(), 0
    with http.stream("GET", f"/download/{PIECES}") as answer:
        assert answer.status_code == 200
        for data in answer.iter_raw():
            digest.update(data)
            size += len(data)
    assert size == PIECES * 65536
    assert digest.hexdigest() == download_digest()


def test_cookies(server: Server) -> None:
    with requests.Session() as session:
        assert session.get(f"{server.url}/cookies", timeout=20).json() == {}
        assert session.cookies.get_dict() == {"session": "s1", "theme": "dark"}
        second = session.get(f"{server.url}/cookies", timeout=20)
        assert second.json() == {"session": "s1", "theme": "dark"}


def test_not_found(http: httpx.Client) -> None:
    assert http.get("/nowhere").status_code == 404


def test_a_bug_in_the_view_is_a_500_and_is_told(server: Server, http: httpx.Client) -> None:
    assert http.get("/error").status_code == 500
    server.wait_for_output("RuntimeError: a bug in the view")
    assert http.get("/json").status_code == 200, "and the server goes on"


def test_200_requests_on_one_connection(server: Server) -> None:
    with RawClient(server.address) as client:
        for number in range(200):
            answer = client.request("GET", f"/json?number={number}", "User-Agent: the same")
            assert answer.status == 200
            assert json.loads(answer.body)["hello"] == "wörld"


def curl(*args: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = ["curl", "--silent", "--show-error", "--fail", "--max-time", "30", *args]
    return subprocess.run(command, input=data, capture_output=True, timeout=40, check=True)


@needs_curl
def test_curl_uploads_when_told_to_continue(server: Server) -> None:
    options = ("--verbose", "--request", "PUT", "--data-binary", "@-")
    done = curl(*options, "--header", "Expect: 100-continue", f"{server.url}/raw", data=FILE)
    assert json.loads(done.stdout) == FILE_FACTS
    assert b"100 Continue" in done.stderr


@needs_curl
def test_curl_downloads_50_mib(server: Server) -> None:
    done = curl(f"{server.url}/download/{PIECES}")
    assert hashlib.sha256(done.stdout).hexdigest() == download_digest()


def test_every_worker_is_gone_after_stopping() -> None:
    with serve("site_flask:app", "--workers", "2", "--app-dir", str(APPS)) as server:
        workers = server.workers
        assert server.stop() == 0
        eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
