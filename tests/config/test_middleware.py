"""How a middleware is written, in each source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bare_serve.config import sources
from bare_serve.config.middleware import MIDDLEWARE
from bare_serve.config.named import Named
from bare_serve.config.settings import BY_NAME
from bare_serve.config.shown import plain, shown
from bare_serve.errors import UsageError

WRITTEN = {
    "gzip": Named("gzip"),
    "gzip:level=9": Named("gzip", (("level", ("9",)),)),
    "gzip:minimum-size=1KiB,level=9": Named(
        "gzip", (("minimum-size", ("1KiB",)), ("level", ("9",)))
    ),
    "cors:origins=https://a.example:8443,https://b.example,max-age=1m": Named(
        "cors",
        (("origins", ("https://a.example:8443", "https://b.example")), ("max-age", ("1m",))),
    ),
    "bearer-auth:tokens=abc==,tokens=def==": Named(
        "bearer-auth", (("tokens", ("abc==",)), ("tokens", ("def==",)))
    ),
    "shop.mw:Tenant": Named("shop.mw:Tenant"),
    "shop.mw:Tenant.of:name=a": Named("shop.mw:Tenant.of", (("name", ("a",)),)),
    "src/mw.py:Tenant": Named("src/mw.py:Tenant"),
    "security-headers:csp=": Named("security-headers", (("csp", ("",)),)),
}


@pytest.mark.parametrize("text", WRITTEN)
def test_a_text(text: str) -> None:
    assert MIDDLEWARE.parse(text) == WRITTEN[text]


def test_a_table() -> None:
    table = {"name": "gzip", "level": 9, "types": ["text/html", "a/b"]}
    named = Named("gzip", (("level", (9,)), ("types", ("text/html", "a/b"))))
    assert MIDDLEWARE.parse(table) == named


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ("", "names no middleware"),
        ("gzip:=9", "options are written key=value"),
        ("a:b:c", "a:b: options are written key=value"),
        ("a:b:", "there is nothing behind the colon of a:b"),
        (7, "not int"),
        ({"level": 9}, "has its name"),
        ({"name": "gzip:level=9"}, "options are keys of their own"),
    ],
)
def test_what_cannot_be_read(raw: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        MIDDLEWARE.parse(raw)


def test_secrets_are_never_shown() -> None:
    secret = "basic-auth:users=ann:s3cret,bob:t0ken,realm=Shop"
    settings = sources.of_arguments({"middleware": [secret]}, Path(), "run")
    for text in (
        shown(BY_NAME["middleware"], settings.middleware),
        str(plain(settings)["middleware"]),
    ):
        assert "s3cret" not in text
        assert "t0ken" not in text
        assert "basic-auth:users=(hidden),realm=Shop" in text
    with pytest.raises(UsageError) as refused:
        sources.of_arguments({"middleware": ["basic-auth:ann:s3cret"]}, Path(), "run")
    assert "s3cret" not in str(refused.value)


def test_files_have_texts_and_tables(tmp_path: Path) -> None:
    (tmp_path / "bare-serve.toml").write_text(
        'middleware = ["request-id", { name = "gzip", level = 9 }]\n'
    )
    settings = sources.load({}, {}, tmp_path)
    assert settings.middleware == (Named("request-id"), Named("gzip", (("level", (9,)),)))
    settings = sources.load({}, {"BARE_SERVE_MIDDLEWARE": "timing  gzip:level=1"}, tmp_path)
    assert [str(named) for named in settings.middleware] == ["timing", "gzip:level=1"]


def test_a_program_gives_objects() -> None:
    class Policy:
        def begin(self, request: Any) -> None: ...

    def classic(app: Any) -> Any:
        return app

    given = [Policy(), classic, "gzip"]
    settings = sources.of_arguments({"middleware": given}, Path(), "Server")
    assert [named.made for named in settings.middleware] == [given[0], classic, None]
