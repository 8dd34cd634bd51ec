"""Error pages of a real server: the x-ray in them, and nothing else that changes."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.support import RawClient, Server, serve

WSGI = """
def app(environ, start_response):
    if environ["PATH_INFO"] == "/keys":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [" ".join(key for key in environ if "xray" in key).encode()]
    if environ["PATH_INFO"] == "/begun":
        return begun(start_response)
    environ["wsgi.input"].read()
    raise ValueError("of wsgi")

def begun(start_response):
    start_response("200 OK", [("Content-Type", "text/html")])
    yield b"x" * 100_000
    raise ValueError("too late")
"""
ASGI = """
async def app(scope, receive, send):
    assert scope["type"] == "http"
    if scope["path"] == "/keys":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        found = [key for key in scope["extensions"] if "xray" in key]
        return await send({"type": "http.response.body", "body": " ".join(found).encode()})
    if scope["path"] == "/begun":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x" * 100_000, "more_body": True})
        raise ValueError("too late")
    await receive()
    raise ValueError("of asgi")
"""


@pytest.fixture(scope="module", params=["wsgi", "asgi"])
def server(request: pytest.FixtureRequest) -> Iterator[tuple[str, Server]]:
    source = WSGI if request.param == "wsgi" else ASGI
    with serve("app:app", "--reload", source=source) as made:
        yield request.param, made


def ask(server: Server, path: str, *fields: str, body: str = "", method: str = "GET") -> str:
    head = [f"{method} {path} HTTP/1.1", "Connection: close", f"Content-Length: {len(body)}"]
    if not any(field.startswith("Host:") for field in fields):
        head.append("Host: localhost")
    with RawClient(server.address) as client:
        client.send(("\r\n".join([*head, *fields]) + f"\r\n\r\n{body}").encode())
        return client.read_to_eof().decode()


HTML = "Accept: text/html"


def test_a_page_has_the_xray_and_the_request(server: tuple[str, Server]) -> None:
    kind, made = server
    answer = ask(made, "/shop?token=S3cr3t", HTML, "X-Mine: yes", body="a=1", method="POST")
    assert answer.startswith("HTTP/1.1 500 ")
    assert f"of {kind}" in answer
    assert "X-ray" in answer
    assert "bytes in" in answer
    assert "POST /shop?token=&lt;6 characters hidden&gt;" in answer
    assert "yes" in answer
    assert "S3cr3t" not in answer
    assert "Server-Timing" not in answer
    assert ask(made, "/keys").endswith("\r\n\r\n")


def test_programs_get_json_and_others_nothing(server: tuple[str, Server]) -> None:
    kind, made = server
    assert f'"message": "of {kind}"' in ask(made, "/", "Accept: application/json")
    for field in ("Host: evil.example", "X-Forwarded-For: 127.0.0.1", "Via: 1.1 tunnel"):
        answer = ask(made, "/", HTML, field)
        assert answer.startswith("HTTP/1.1 500 ")
        assert "ValueError" not in answer
        assert f"of {kind}" not in answer


def test_an_answer_that_has_begun_is_broken_off(server: tuple[str, Server]) -> None:
    _, made = server
    answer = ask(made, "/begun", HTML)
    assert answer.startswith("HTTP/1.1 200 ")
    assert "ValueError" not in answer
    assert not answer.endswith("0\r\n\r\n")


def test_the_log_has_each_exception_once(server: tuple[str, Server]) -> None:
    _, made = server
    ask(made, "/once", HTML)
    ask(made, "/__bare_serve__/version")
    made.wait_for_output("GET /once HTTP/1.1 500")
    log = made.output
    before, _, _ = log.partition("GET /once HTTP")
    assert len(re.findall("ERROR .*GET /once", log)) == 1, before
    assert "__bare_serve__" not in log


def test_a_connection_goes_on_after_a_page(server: tuple[str, Server]) -> None:
    _, made = server
    request = b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n\r\n"
    with RawClient(made.address) as client:
        for _ in range(2):
            client.send(request)
            assert client.response().status == 500
