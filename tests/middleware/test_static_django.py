"""What a Django project's settings say of its static files; and a real project with its admin."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bare_serve.errors import UsageError
from bare_serve.middleware import wrap
from bare_serve.middleware.static_django import django_static
from bare_serve.testing import TestClient
from tests.support.processes import serve
from tests.support.raw_client import RawClient

HASHED = "app.55e7cbb9ba48.css"
PROJECT = """
import os
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

settings.configure(
    ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="x", STATIC_URL="static/",
    STATIC_ROOT=os.path.abspath("collected"), STATICFILES_DIRS=[os.path.abspath("sources")],
    INSTALLED_APPS=["django.contrib.admin", "django.contrib.auth", "django.contrib.messages",
                    "django.contrib.contenttypes", "django.contrib.staticfiles"],
)
urlpatterns = [path("static/none", lambda request: HttpResponse("the view"))]
django = get_wsgi_application()

from bare_serve.middleware import wrap
from bare_serve.middleware.static_django import django_static

app = wrap(django, django_static(finders=True, fallthrough=True))
"""


def project(**more: Any) -> Any:
    names = {"STATIC_URL": "/static/", "STATIC_ROOT": None, "INSTALLED_APPS": []}
    return SimpleNamespace(**{**names, **more})


@pytest.fixture
def collected(tmp_path: Path) -> Path:
    root = tmp_path / "collected"
    root.mkdir()
    (root / HASHED).write_text("hashed")
    (root / "app.css").write_text("plain")
    return root


def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Says that it was called."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"the application"]


@pytest.mark.parametrize("manifest", [True, False])
@pytest.mark.parametrize("url", ["/static/", "static/", "/static", "//static//"[1:]])
def test_collected_files(collected: Path, manifest: bool, url: str) -> None:
    if manifest:
        (collected / "staticfiles.json").write_text("{}")
    policy = django_static(project(STATIC_URL=url, STATIC_ROOT=collected))
    client = TestClient(wrap(app, policy))
    assert client.get("/static/app.css").text == "plain"
    assert client.get("/static/app.css").headers["cache-control"] == "no-cache"
    forever = "immutable" in client.get(f"/static/{HASHED}").headers["cache-control"]
    assert forever is manifest
    assert client.get("/static/none").status == 404
    assert client.get("/").text == "the application"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (project(), "STATIC_ROOT is not set"),
        (project(STATIC_ROOT="/no/such/place"), "collectstatic"),
        (project(STATIC_URL=None), "STATIC_URL is not set"),
        (project(STATIC_URL="https://cdn.example.com/static/"), "another host"),
    ],
)
def test_settings_that_do_not_say_enough(settings: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        django_static(settings)


def test_finders_need_their_app() -> None:
    with pytest.raises(UsageError, match="INSTALLED_APPS"):
        django_static(project(), finders=True)


def test_a_project_with_its_admin(tmp_path: Path, collected: Path) -> None:
    """`--static django` in front, and the finders where that leaves a path to the application."""
    pytest.importorskip("django")
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / "own.css").write_text("own")
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "sources" / "out").symlink_to("../secret")
    options = ("--static", "django", "--static-fallthrough")
    with (
        serve("app:app", *options, cwd=tmp_path, source=PROJECT) as server,
        RawClient(server.address) as client,
    ):
        assert client.request(target="/static/app.css").body == b"plain"
        assert client.request(target="/static/own.css").body == b"own"
        admin = client.request(target="/static/admin/css/base.css")
        assert (admin.status, admin.header("content-type")) == (200, "text/css; charset=utf-8")
        assert client.request(target="/static/none").body == b"the view"
        for path in ("out", "../secret", "%2e%2e/secret", "admin/../../secret", "admin", ""):
            assert client.request(target=f"/static/{path}").status == 404
        assert "static" in server.output
