"""Forms, urlencoded and multipart: what they hold, and each of their bounds."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from bare_serve.bare import Bare, Form, Upload
from bare_serve.bare.forms import MOST_PARTS, MOST_TEXT_BYTES
from tests.bare.versions import both, client

BOUNDARY = "xYz"
MULTIPART = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
URLENCODED = {"content-type": "application/x-www-form-urlencoded"}


def part(name: str, body: bytes, *more: str) -> bytes:
    disposition = "".join([f'form-data; name="{name}"', *more[:1]])
    fields = [f"Content-Disposition: {disposition}", *more[1:]]
    return b"--xYz\r\n" + "\r\n".join(fields).encode() + b"\r\n\r\n" + body + b"\r\n"


END = b"--xYz--\r\n"


def forms_app() -> Bare:
    app = Bare(max_body=1 << 18)

    @app.post("/form")
    def whole(form: Form) -> Any:
        return {
            name: [
                value
                if isinstance(value, str)
                else [value.filename, value.content_type, value.size, value.file.read().decode()]
                for value in form.all(name)
            ]
            for name in form
        }

    return app


@both
def test_a_urlencoded_form(interface: str) -> None:
    tester = client(forms_app(), interface)
    answer = tester.post("/form", content=b"a=1&a=%C3%A4+b&c=", headers=URLENCODED)
    assert answer.json() == {"a": ["1", "\u00e4 b"], "c": [""]}
    for body in (b"a=%ff", b"\xff=1", b"&".join([b"a=1"] * (MOST_PARTS + 1))):
        assert tester.post("/form", content=body, headers=URLENCODED).status == 400
    assert tester.post("/form", content=b"").json()["where"] == "content-type"
    assert tester.post("/form", json={}).status == 415


@both
def test_a_form_with_files(interface: str) -> None:
    tester = client(forms_app(), interface)
    text = 'name="\u00e4"'.encode()
    body = (
        part("a", b"1")
        + part("f", b"small", '; filename="C:\\dir\\x.txt"', "Content-Type: text/plain")
        + part("f", b"large" * 20_000, '; filename="../../etc/passwd"')
        + part("t", text)
        + END
    )
    for content in (body, iter([body[n : n + 1000] for n in range(0, len(body), 1000)])):
        got = tester.post("/form", content=content, headers=MULTIPART).json()
        assert got["a"] == ["1"]
        assert got["t"] == [text.decode()]
        first, second = got["f"]
        assert first == ["x.txt", "text/plain", 5, "small"]
        assert second == ["passwd", "application/octet-stream", 100_000, "large" * 20_000]


def too_many() -> bytes:
    return b"".join(part(str(n), b"") for n in range(MOST_PARTS + 1)) + END


BROKEN: dict[str, tuple[bytes, int]] = {
    "no end": (part("a", b"1"), 400),
    "no boundary": (b"a=1", 400),
    "empty": (b"", 400),
    "too many parts": (too_many(), 413),
    "too much text": (part("a", b"x" * (MOST_TEXT_BYTES + 1)) + END, 413),
    "too much of all": (part("a", b"x" * (1 << 18), '; filename="x"') + END, 413),
    "too long a field": (part("a", b"", "", "X: " + "y" * 5000) + END, 413),
    "too many fields": (part("a", b"", "", *(f"X{n}: y" for n in range(9))) + END, 413),
    "no name": (b"--xYz\r\nContent-Type: text/plain\r\n\r\nx\r\n" + END, 400),
    "no utf-8": (part("a", b"\xff") + END, 400),
}


@both
@pytest.mark.parametrize("case", BROKEN)
def test_forms_that_are_refused(interface: str, case: str) -> None:
    body, status = BROKEN[case]
    answer = client(forms_app(), interface).post("/form", content=body, headers=MULTIPART)
    assert (answer.status, answer.json()["where"][:4]) == (status, "body")


def test_a_boundary_that_is_none() -> None:
    for kind in (
        "multipart/form-data",
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary="\u00e4"',
    ):
        answer = client(forms_app()).post(
            "/form", content=part("a", b"1") + END, headers=[("content-type", kind)]
        )
        assert answer.status == 400


@both
def test_files_are_closed_after_the_answer(interface: str) -> None:
    app = Bare()
    seen: list[Upload] = []

    @app.post("/")
    def keep(form: Form) -> str:
        upload = form["f"]
        assert isinstance(upload, Upload)
        seen.append(upload)
        return str(upload.file.closed)

    body = part("f", b"x", '; filename="x"') + END
    assert client(app, interface).post("/", content=body, headers=MULTIPART).text == "False"
    assert seen[0].file.closed
    assert (seen[0].filename, seen[0].size) == ("x", 1)


def test_a_package_that_is_missing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "multipart", None)
    answer = client(forms_app()).post("/form", content=END, headers=MULTIPART)
    assert answer.status == 500
    assert "pip install 'bare-serve[forms]'" in caplog.text
