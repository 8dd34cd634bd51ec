"""A server under development, from settings: what is watched, what is refused, what others pay."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import bare_serve
from bare_serve.config import sources
from bare_serve.dev.watching import Watched
from bare_serve.errors import AppLoadError, BareServeError, UsageError
from bare_serve.server.development import _details_of, _message_of, _structure_of, rules_of
from tests.support import RawClient, serve

APP = """
import os, sys
def app(environ, start_response):
    start_response("200 OK", [])
    return [" ".join(sys.modules).encode() if environ["PATH_INFO"] == "/" else b"fine"]
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("app.py", "shop/views.py", "shop/a.html", "lib/other.py", "robots.txt", ".env"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("A=1\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def watched(target: str, **asked: Any) -> set[str]:
    settings = sources.load({"reload": True, **asked}, {}, Path.cwd())
    return {os.path.relpath(path) for path in Watched(rules_of(settings, target)).look()}


PY = {"app.py", "shop/views.py", "lib/other.py"}


@pytest.mark.parametrize(
    ("target", "asked", "found"),
    [
        ("app:app", {}, PY),
        ("app:app", {"app_dir": "shop"}, {"shop/views.py"}),
        ("app:app", {"reload_dir": ("shop", "lib")}, {"shop/views.py", "lib/other.py"}),
        ("app:app", {"reload_dir": ("shop", ".")}, PY),
        ("../lib/other.py:app", {"app_dir": "shop"}, {"shop/views.py", "lib/other.py"}),
        ("app:app", {"reload_include": ("*.html",)}, PY | {"shop/a.html"}),
        ("app:app", {"reload_include": ("robots.txt",)}, PY | {"robots.txt"}),
        ("app:app", {"app_dir": "lib", "reload_include": ("shop/",)},
         {"lib/other.py", "shop/views.py", "shop/a.html"}),
        ("app:app", {"reload_exclude": ("shop", "lib/*")}, {"app.py"}),
        ("app:app", {"env_file": ".env"}, PY | {".env"}),
        ("app:app", {"dev": True}, PY | {".env"}),
    ],
)  # fmt: skip
def test_what_is_watched(
    target: str, asked: dict[str, Any], found: set[str], project: Path
) -> None:
    if "app_dir" in asked:
        asked = {**asked, "app_dir": str(project / asked["app_dir"])}
    assert watched(target, **asked) == found


TRACEBACK = "Traceback (most recent call last):\n  ..."


@pytest.mark.parametrize(
    ("error", "message", "details"),
    [
        (UsageError("no"), "no", ""),
        (AppLoadError("no", "as text"), "no", "as text"),
        (AppLoadError(f"no: {TRACEBACK}"), f"no: {TRACEBACK}", ""),
        (AppLoadError(f"no: {TRACEBACK}", origin=OSError("x")), "no", "OSError: x\n"),
        (AppLoadError("no", "as text", OSError("x")), "no", "OSError: x\n"),
    ],
)
def test_what_is_told_of_a_failure(error: BareServeError, message: str, details: str) -> None:
    assert _message_of(error) == message
    assert _details_of(error) == details
    assert ("OSError" in _structure_of(error)) is ("OSError" in details)


def test_absolute_patterns(project: Path) -> None:
    assert watched("app:app", reload_include=(f"{project}/shop/*.html",)) == PY | {"shop/a.html"}
    assert watched("app:app", reload_exclude=(f"{project}/shop/*",)) == PY - {"shop/views.py"}


def test_files_of_settings_are_watched_wherever_they_are(project: Path) -> None:
    (project / "shop" / "mine.toml").write_text("threads = 3\n")
    assert "shop/mine.toml" in watched("app:app", config="shop/mine.toml")
    (project / "bare-serve.toml").write_text("threads = 3\n")
    assert "bare-serve.toml" in watched("app:app")


def test_a_directory_that_is_not_there(project: Path) -> None:
    """What else is refused is in tests/config/test_development.py."""
    with pytest.raises(UsageError, match="--reload-dir: cannot read the directory 'nowhere': No"):
        watched("app:app", reload_dir=("nowhere",))


def test_an_object_cannot_be_reloaded() -> None:
    with pytest.raises(UsageError, match=r'give the name of the object, as in run\("module:app"'):
        bare_serve.run(lambda environ, start_response: [], reload=True, port=0)


def test_nothing_of_it_is_in_a_server_without_it(tmp_path: Path) -> None:
    with serve(source=APP, cwd=tmp_path) as server, RawClient(server.address) as client:
        modules = client.request().body.decode().split()
        assert not [name for name in modules if name.startswith("bare_serve.dev")]
        assert "bare_serve.server.development" not in modules
        assert "bare_serve.supervision.side_process" not in modules
        # Nor in the master, which a worker is a fork of.
        assert len(server.workers) == 1


AS_DJANGO = """
import os, sys
from types import SimpleNamespace
FINDERS = "django.contrib.staticfiles"
settings = SimpleNamespace(configured=True, STATIC_URL="static/", INSTALLED_APPS=[FINDERS])
sys.modules["django.conf"] = SimpleNamespace(settings=settings)
sys.modules[f"{FINDERS}.finders"] = SimpleNamespace(find=os.path.abspath)
"""


def test_the_banner_says_what_is_switched_on(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("GREETING=hello\n")
    with serve("--dev", source=AS_DJANGO + APP, cwd=tmp_path) as server:
        text = server.output
        row = "reload on change, error page, live pages, static files of Django, variables of .env"
        assert f"  dev        {row}" in text
        with RawClient(server.address) as client:
            assert client.request(target="/static/.env").body == b"fine"
            assert b"FINDERS = " in client.request(target="/static/app.py").body
        assert server.stop() == 0
