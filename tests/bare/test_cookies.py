"""Cookies: what would be lost or misread is refused, and what is forged is no value."""

from __future__ import annotations

from typing import Any

import pytest

from bare_serve.bare import Bare, Request, Response, Signer
from bare_serve.bare.fields import format_cookie, parse_cookies
from tests.bare.versions import both, client

SECRET, OLD = "s" * 32, "o" * 32

WRITTEN: dict[str, tuple[dict[str, Any], str]] = {
    "plain": ({}, "a=1; Path=/; HttpOnly; SameSite=Lax"),
    "all": (
        {
            "max_age": 60,
            "path": "/x",
            "domain": "a.example",
            "secure": True,
            "http_only": False,
            "same_site": "none",
        },
        "a=1; Path=/x; Domain=a.example; Max-Age=60; Secure; SameSite=None",
    ),
    "nothing said": ({"same_site": None, "http_only": False}, "a=1; Path=/"),
}


@pytest.mark.parametrize("case", WRITTEN)
def test_what_is_written(case: str) -> None:
    attributes, wanted = WRITTEN[case]
    assert format_cookie("a", "1", **attributes) == wanted


REFUSED: list[tuple[str, str, dict[str, Any], str]] = [
    ("a b", "1", {}, "must be a token"),
    ("a;b", "1", {}, "must be a token"),
    ("", "1", {}, "must be a token"),
    *(
        ("a", value, {}, "may hold no space")
        for value in ("a b", 'a"', "a,b", "a;b", "a\\", "\u00e4")
    ),
    ("a", "1\r\nx: y", {}, "may hold no space"),
    ("a", "1", {"path": "/;x"}, "Path"),
    ("a", "1", {"domain": "a\r\n"}, "Domain"),
    ("a", "1", {"same_site": "no"}, "same_site"),
    ("a", "1", {"same_site": "none"}, "needs secure=True"),
    ("__Secure-a", "1", {}, "its prefix says so"),
    ("__Host-a", "1", {"secure": True, "path": "/x"}, "its prefix says so"),
    ("__Host-a", "1", {"secure": True, "domain": "a.example"}, "its prefix says so"),
]


@pytest.mark.parametrize(("name", "value", "attributes", "message"), REFUSED)
def test_what_is_refused(name: str, value: str, attributes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Response("x").set_cookie(name, value, **attributes)


def test_what_is_read() -> None:
    assert parse_cookies('a=1;b="2" ;  c=x=y; d; =e; a=3; f=') == {
        "a": "1",
        "b": "2",
        "c": "x=y",
        "f": "",
    }
    assert parse_cookies("") == {}


def test_a_signed_value(monkeypatch: pytest.MonkeyPatch) -> None:
    signer, now = Signer(SECRET), 1000
    monkeypatch.setattr("bare_serve.bare.fields.time", lambda: now)
    text = "\u00e4; any text"
    signed = signer.sign("user", text)
    assert format_cookie("user", signed), "it is fit for a cookie"
    now = 2000
    assert signer.read("user", signed) == text
    assert signer.read("user", signed, max_age=1000) == text
    assert signer.read("user", signed, max_age=999) is None
    assert signer.read("other", signed) is None
    now = 900
    assert signer.read("user", signed, max_age=999) is None, "from the time to come"
    assert Signer(OLD).read("user", signed) is None
    assert Signer([OLD, SECRET]).read("user", signed) == text
    for index in range(len(signed)):
        for character in "A.\u00e4":
            changed = signed[:index] + character + signed[index + 1 :]
            assert changed == signed or signer.read("user", changed) is None
    for junk in ("", ".", "..", "a.b", "a.b.c", signed[:-1], signed + "0", "\ud800"):
        assert signer.read("user", junk) is None


@pytest.mark.parametrize("secret", ["", "short", [], ["x" * 15]])
def test_a_secret_that_is_none(secret: Any) -> None:
    with pytest.raises(ValueError, match="16 bytes or more"):
        Signer(secret)


@both
def test_signed_cookies_of_an_application(interface: str) -> None:
    app = Bare(secret=SECRET)

    @app.get("/in")
    def enter() -> Response:
        return Response("in").set_cookie("user", "ann lee", signed=app.signer)

    @app.get("/who")
    def who(request: Request) -> Any:
        return [request.signed_cookie("user", max_age=60)]

    @app.get("/out")
    def leave() -> Response:
        return Response("out").delete_cookie("user")

    with client(app, interface) as tester:
        assert tester.get("/who").json() == [None]
        tester.get("/in")
        assert tester.get("/who").json() == ["ann lee"]
        tester.get("/out")
        assert tester.get("/who").json() == [None]
        assert tester.get("/who", headers={"cookie": "user=forged.1.x"}).json() == [None]


def test_no_secret() -> None:
    with pytest.raises(RuntimeError, match=r"Bare\(secret="):
        _ = Bare().signer
