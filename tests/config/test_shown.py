"""Settings as --print-config shows them, and those that mean nothing to the application."""

from __future__ import annotations

from pathlib import Path

from bare_serve.config import shown, sources
from bare_serve.config.settings import OPTIONS


def test_what_means_nothing_to_a_kind_of_application() -> None:
    asked = {"threads": "8", "limit_concurrency": "9", "ws_compression": "yes", "ws": "off"}
    asked |= {"loop": "auto", "warn_blocked": "off", "workers": "2", "timeout_request": "9"}
    chosen = sources.load(dict(asked), {}, Path("/"))
    assert shown.without_effect(chosen, "asgi") == ["threads (command line)"]
    for_asgi = ["ws-compression (command line)", "limit-concurrency (command line)"]
    assert shown.without_effect(chosen, "wsgi") == for_asgi
    assert shown.without_effect(sources.load({}, {}, Path("/")), "wsgi") == []


def test_the_table_shows_each_setting_once() -> None:
    chosen = sources.load({"workers": "3", "asgi": True}, {"PORT": "5000"}, Path("/"))
    rows = shown.table(chosen)
    names = [name for name, _, _ in rows]
    assert len(names) == len(set(names)) == len([o for o in OPTIONS if not o.stands_for])
    found = {name: (value, source) for name, value, source in rows}
    assert found["workers"] == ("3", "command line")
    assert found["interface"] == ("asgi", "command line")
    assert found["port"] == ("5000", "environment PORT")
    assert found["host"] == ("0.0.0.0", "default with PORT")
    assert found["app"] == ("-", "default")
    assert found["timeout-headers"] == ("10s", "default")
