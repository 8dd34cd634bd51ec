"""`--static`: what a start refuses, a server without an application, and a reload."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import bare_serve
from bare_serve.app import LoadedApp
from bare_serve.config import sources
from bare_serve.config.settings import Settings
from bare_serve.errors import UsageError
from bare_serve.server.application import find_application, surrounded
from bare_serve.server.compose import check_static, static_row
from bare_serve.testing import TestClient
from tests.support.processes import serve
from tests.support.raw_client import RawClient
from tests.support.waiting import eventually


def settings(directory: Path, **asked: Any) -> Settings:
    return sources.load(asked, {}, directory)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("/a=TOP/none", "--static: cannot read .*none': No such file"),
        ("a=TOP", "is not a path and a directory"),
        ("/a", "is not a path and a directory"),
        ("/a=", "is not a path and a directory"),
        ("", "is not a path and a directory"),
        ("/a\n=TOP", "is not a path and a directory"),
    ],
)
def test_what_is_no_directory_under_a_path(tmp_path: Path, value: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        settings(tmp_path, static=[value.replace("TOP", str(tmp_path))])


@pytest.mark.parametrize("prefix", ["/a//b", "/a/../b", "/a?b", "/a%20b"])
def test_a_path_that_no_request_has(tmp_path: Path, prefix: str) -> None:
    with pytest.raises(UsageError, match=f"--static {prefix[:2]}"):
        check_static(settings(tmp_path, static=[f"{prefix}={tmp_path}"]))


def test_a_directory_that_is_gone_by_then(tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    found = settings(tmp_path, static=[f"/a={top}"])
    check_static(found)
    assert static_row(found) == [("static", f"/a={top}")]
    top.rmdir()
    with pytest.raises(UsageError, match="cannot read it: No such file"):
        check_static(found)


@pytest.mark.parametrize(
    "more",
    [{"static_index": True}, {"static_immutable": "x"}, {"static_max_age": "5m"},
     {"static_fallthrough": True}],
)  # fmt: skip
def test_an_option_of_files_needs_files(tmp_path: Path, more: dict[str, Any]) -> None:
    flag = next(iter(more)).replace("_", "-")
    with pytest.raises(UsageError, match=f"--{flag} is about static files; give --static, too"):
        check_static(settings(tmp_path, **more))
    check_static(settings(tmp_path, static=[f"/a={tmp_path}"], **more))


def test_a_server_of_files_alone(tmp_path: Path) -> None:
    asked = {"static": [f"/={tmp_path}"]}
    found = find_application(settings(tmp_path, **asked), None)
    assert found.target == "bare_serve.app.nothing:wsgi"
    found = find_application(settings(tmp_path, interface="asgi", **asked), None)
    assert found.target == "bare_serve.app.nothing:asgi"
    (tmp_path / "app.py").write_text("nothing = 1\n")
    with pytest.raises(UsageError, match=r"app\.py defines none of"):
        find_application(settings(tmp_path, **asked), None)
    with pytest.raises(UsageError, match="No application was named"):
        find_application(settings(tmp_path), None)


def test_files_through_a_start_and_a_reload(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_text(name)
    config = tmp_path / "bare-serve.toml"
    config.write_text('static = ["/=one"]\n')
    with serve(cwd=tmp_path) as server:
        assert "none: --static alone" in server.wait_for_output("static")
        with RawClient(server.address) as client:
            assert client.request(target="/a.txt").body == b"one"
            assert client.request(target="/b.txt").status == 404
        config.write_text('static = ["/=none"]\n')
        os.kill(server.pid, signal.SIGHUP)
        server.wait_for_output("cannot read")
        config.write_text('static = ["/=two"]\n')
        os.kill(server.pid, signal.SIGHUP)

        def served() -> bytes:
            with RawClient(server.address) as client:
                return client.request(target="/a.txt").body

        eventually(lambda: served() == b"two")


@pytest.fixture
def django(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Settings of a project with a file that is found, and one that is collected."""
    for name in ("sources", "collected"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.css").write_text(name)
    home = "django.contrib.staticfiles"
    made = SimpleNamespace(
        configured=True,
        STATIC_URL="/static/",
        STATIC_ROOT=tmp_path / "collected",
        INSTALLED_APPS=[home],
    )
    finders = SimpleNamespace(find=lambda path: f"{tmp_path}/sources/{path}")
    monkeypatch.setitem(sys.modules, "django.conf", SimpleNamespace(settings=made))
    monkeypatch.setitem(sys.modules, f"{home}.finders", finders)
    return made


def none(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("404 Not Found", [("Content-Type", "text/plain")])
    return [b"the application's"]


FOUND, COLLECTED = "/static/sources.css", "/static/collected.css"


@pytest.mark.parametrize(
    ("asked", "more", "found"),
    [
        ({"dev": True}, {}, [FOUND]),
        ({"reload": True}, {}, []),
        ({"dev": True, "static": ["django"]}, {}, [FOUND]),
        ({"static": ["django"]}, {}, [COLLECTED]),
        ({"dev": True, "static": ["/x=HERE"]}, {}, [FOUND, "/x/sources/sources.css"]),
        ({"dev": True}, {"INSTALLED_APPS": []}, []),
        ({"dev": True, "static": ["django"]}, {"INSTALLED_APPS": []}, [COLLECTED]),
        ({"dev": True}, {"STATIC_URL": None}, []),
        ({"dev": True}, {"STATIC_URL": "https://cdn.example/"}, []),
        ({"dev": True}, {"configured": False}, []),
    ],
)
def test_the_files_of_a_django_project_in_development(
    asked: dict[str, Any], more: dict[str, Any], found: list[str],
    tmp_path: Path, django: SimpleNamespace,
) -> None:  # fmt: skip
    if "static" in asked:
        asked = {
            **asked,
            "static": [each.replace("HERE", str(tmp_path)) for each in asked["static"]],
        }
    vars(django).update(more)
    loaded = LoadedApp(none, "wsgi", "app:app", "given")
    served = TestClient(surrounded(loaded, settings(tmp_path, **asked)).app, interface="wsgi")
    every = [FOUND, COLLECTED, "/x/sources/sources.css"]
    assert [path for path in every if served.get(path).status == 200] == found
    if "static" not in asked:
        assert served.get("/static/none").text == "the application's"


def test_in_a_program(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("404 Not Found", [])
        return [b""]

    with (
        bare_serve.Server(app, port=0, access_log="off", static=[f"/s={tmp_path}"]) as server,
        RawClient(server.addresses[0]) as client,
    ):
        assert client.request(target="/s/a.txt").body == b"a"
        assert client.request(target="/a.txt").status == 404
