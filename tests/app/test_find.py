"""Finding an application in a directory when none was named: by reading, never by importing.

Every file written here would fail loudly if it were imported: the first line raises.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from bare_serve.app import Found, find_target
from bare_serve.app.source import Guess, bindings, read
from bare_serve.errors import UsageError

POISON = "raise SystemError('imported')\n"
MANAGE = (
    "import os, sys\n"
    "def main():\n"
    "    print('usage', 2)\n"
    "    os.environ.setdefault('DJANGO_SETTINGS_MODULE', '{}')\n"
)
WSGI_SETTING = "WSGI_APPLICATION = 'site.wsgi.application'\n"
ASGI_SETTING = "ASGI_APPLICATION = 'site.asgi.application'\n"

Project = Callable[[dict[str, str]], Path]


@pytest.fixture(autouse=True)
def no_django_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DJANGO_SETTINGS_MODULE", raising=False)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    def write(files: dict[str, str]) -> Path:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(POISON + text)
        return tmp_path

    return write


FILES: dict[str, tuple[dict[str, str], str, str]] = {
    "first file": ({"app.py": "app = f()", "main.py": "app = f()"}, "auto", "app:app"),
    "second file": ({"main.py": "app = f()", "asgi.py": "app = f()"}, "auto", "main:app"),
    "asgi before wsgi": ({"wsgi.py": "app = f()", "asgi.py": "app = f()"}, "auto", "asgi:app"),
    "last file": ({"application.py": "asgi = f()"}, "auto", "application:asgi"),
    "order of the names": ({"app.py": "app = application = f()"}, "auto", "app:application"),
    "wsgi asked": ({"wsgi.py": "app = f()", "asgi.py": "app = f()"}, "wsgi", "wsgi:app"),
    "asgi asked": ({"wsgi.py": "app = f()", "asgi.py": "app = f()"}, "asgi", "asgi:app"),
    "asgi2 asked": ({"wsgi.py": "app = f()", "asgi.py": "app = f()"}, "asgi2", "asgi:app"),
    "asked in vain": ({"asgi.py": "app = f()"}, "wsgi", "asgi:app"),
    "unknown is good enough": ({"app.py": "app = f()", "wsgi.py": "app = f()"}, "wsgi", "app:app"),
    "flask is not asgi": (
        {"app.py": "from flask import Flask\napp = Flask('x')", "asgi.py": "app = f()"},
        "asgi",
        "asgi:app",
    ),
    "two in one file": ({"app.py": "asgi = f()\nwsgi = f()"}, "wsgi", "app:wsgi"),
    "the fitting one in a file": (
        {"app.py": "async def app(scope, receive, send): ...\ndef wsgi(e, s): ..."},
        "wsgi",
        "app:wsgi",
    ),
    "skips what defines nothing": ({"app.py": "x = 1", "main.py": "app = f()"}, "auto", "main:app"),
    "skips a constant": ({"app.py": "app = None", "main.py": "app = f()"}, "auto", "main:app"),
    "skips a module": ({"app.py": "import app", "main.py": "app = f()"}, "auto", "main:app"),
    "skips a submodule": (
        {
            "main.py": "from pkg import app",
            "pkg/app.py": "",
            "pkg/__init__.py": "",
            "wsgi.py": "app=f()",
        },
        "auto",
        "wsgi:app",
    ),
    "skips a submodule of a bare directory": (
        {"main.py": "from pkg import app", "pkg/app.py": "", "wsgi.py": "app = f()"},
        "auto",
        "wsgi:app",
    ),
    "an import from a package": (
        {"main.py": "from pkg import app", "pkg/app.py": "", "pkg/__init__.py": "app = f()"},
        "auto",
        "main:app",
    ),
    "an import from elsewhere": ({"main.py": "from pkg.web import app"}, "auto", "main:app"),
    "skips what runs only as a script": (
        {"app.py": "if __name__ == '__main__':\n    app = f()", "main.py": "app = f()"},
        "auto",
        "main:app",
    ),
    "does not skip a broken file": ({"app.py": "app = (", "main.py": "app = f()"}, "auto", "app"),
    "not even one with null bytes": ({"app.py": "app = '\0'"}, "auto", "app"),
    "not even absurd nesting": ({"app.py": f"app = {'-' * 20_000}1"}, "auto", "app"),
    "a broken asgi.py is no wsgi": ({"asgi.py": "(", "wsgi.py": "app = f()"}, "wsgi", "wsgi:app"),
}


@pytest.mark.parametrize("name", FILES)
def test_files(name: str, project: Project) -> None:
    files, prefer, target = FILES[name]
    modules = set(sys.modules)
    assert find_target(project(files), prefer).target == target
    assert set(sys.modules) == modules


def test_says_where(project: Project) -> None:
    directory = project({"app.py": "app = f()"})
    assert find_target(directory) == Found("app:app", "app.py defines app")
    project({"app.py": "app = ("})
    assert find_target(directory) == Found("app", "app.py, which has a syntax error")


DJANGO: dict[str, tuple[dict[str, str], str, str]] = {
    "wsgi only": ({"site/settings.py": WSGI_SETTING}, "auto", "site.wsgi:application"),
    "both": ({"site/settings.py": WSGI_SETTING + ASGI_SETTING}, "auto", "site.asgi:application"),
    "both, wsgi": (
        {"site/settings.py": WSGI_SETTING + ASGI_SETTING},
        "wsgi",
        "site.wsgi:application",
    ),
    "asgi unnamed": (
        {"site/settings.py": WSGI_SETTING, "site/asgi.py": "application = f()"},
        "asgi",
        "site.asgi:application",
    ),
    "wsgi unnamed": (
        {"site/settings.py": ASGI_SETTING, "site/wsgi.py": "application = f()"},
        "wsgi",
        "site.wsgi:application",
    ),
    "neither named": (
        {
            "site/settings.py": "",
            "site/wsgi.py": "application = f()",
            "site/asgi.py": "application = f()",
        },
        "auto",
        "site.wsgi:application",
    ),
    "neither named, one broken": (
        {"site/settings.py": "", "site/wsgi.py": "(", "site/asgi.py": "application = f()"},
        "auto",
        "site.asgi:application",
    ),
    "settings are a package": (
        {"site/settings/__init__.py": WSGI_SETTING},
        "auto",
        "site.wsgi:application",
    ),
    "settings are split": (
        {
            "site/settings/__init__.py": "from .local import *\nfrom . import *\nfrom ..x import *",
            "site/settings/local.py": "from site.settings.base import *\nfrom .gone import *",
            "site/settings/base.py": WSGI_SETTING,
            "site/x.py": "(",
        },
        "auto",
        "site.wsgi:application",
    ),
    "the nearer setting wins": (
        {
            "site/settings/__init__.py": "from .base import *\n" + WSGI_SETTING,
            "site/settings/base.py": "WSGI_APPLICATION = 'other.wsgi.application'",
        },
        "auto",
        "site.wsgi:application",
    ),
    "files come first": (
        {"app.py": "app = f()", "site/settings.py": WSGI_SETTING},
        "auto",
        "app:app",
    ),
    "files are steered past": (
        {"wsgi.py": "app = f()", "site/settings.py": ASGI_SETTING},
        "asgi",
        "site.asgi:application",
    ),
}


@pytest.mark.parametrize("name", DJANGO)
def test_django(name: str, project: Project) -> None:
    files, prefer, target = DJANGO[name]
    directory = project({"manage.py": MANAGE.format("site.settings"), **files})
    assert find_target(directory, prefer).target == target


def test_django_says_where(project: Project) -> None:
    directory = project(
        {
            "manage.py": "import os\nos.environ['DJANGO_SETTINGS_MODULE'] = 'site.settings'\n",
            "site/settings.py": WSGI_SETTING,
            "site/asgi.py": "application = f()",
        }
    )
    assert find_target(directory).how == "WSGI_APPLICATION in site.settings"
    assert find_target(directory, "asgi").how == "site/asgi.py, by manage.py"


def test_django_settings_of_the_environment_win(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = project(
        {
            "manage.py": MANAGE.format("site.settings"),
            "site/settings.py": WSGI_SETTING,
            "site/production.py": ASGI_SETTING,
        }
    )
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "site.production")
    assert find_target(directory).target == "site.asgi:application"


NOTHING: dict[str, tuple[dict[str, str], list[str]]] = {
    "empty": (
        {"readme.txt": ""},
        [
            "not there: app.py, main.py, asgi.py, wsgi.py, application.py, api.py, manage.py",
            "--demo",
        ],
    ),
    "nothing defined": (
        {"app.py": "x = 1", "main.py": ""},
        [
            "  app.py defines none of application, app, asgi, wsgi\n",
            "  main.py defines none of",
            "  not there: asgi.py, wsgi.py, application.py, api.py, manage.py\n",
        ],
    ),
    "a factory": (
        {"app.py": "def create_app(): ..."},
        ["it has a factory: bare-serve app:create_app --factory"],
    ),
    "a submodule": (
        {"main.py": "from pkg import app", "pkg/app.py": ""},
        ["main.py imports app, but that is a module", "pkg/app.py defines none of"],
    ),
    "manage.py without settings": (
        {"manage.py": "import os\nos.environ['DEBUG'] = '1'\nf('DJANGO_SETTINGS_MODULE', g())"},
        ["manage.py does not set DJANGO_SETTINGS_MODULE"],
    ),
    "manage.py broken": ({"manage.py": "x = ("}, ["manage.py has a syntax error in line 2"]),
    "manage.py alone": (
        {"manage.py": MANAGE.format("site.settings")},
        ["manage.py is there, but no file for its settings site.settings"],
    ),
    "settings without": (
        {"manage.py": MANAGE.format("site.settings"), "site/settings.py": "", "site/asgi.py": ""},
        ["the settings site.settings name no ASGI_APPLICATION or WSGI_APPLICATION"],
    ),
    "settings of a strange kind": (
        {"manage.py": MANAGE.format("site"), "site.py": "WSGI_APPLICATION = 'x'"},
        ["the settings site name no ASGI_APPLICATION or WSGI_APPLICATION"],
    ),
}


@pytest.mark.parametrize("name", NOTHING)
def test_nothing_found(name: str, project: Project) -> None:
    files, words = NOTHING[name]
    directory = project(files)
    with pytest.raises(UsageError) as caught:
        find_target(directory)
    message = str(caught.value)
    assert f"none was found in {directory}:" in message
    assert [word for word in words if word not in message] == []


def test_all_there_but_useless(project: Project) -> None:
    directory = project(
        dict.fromkeys(
            ("app.py", "main.py", "asgi.py", "wsgi.py", "application.py", "api.py", "manage.py"),
            "",
        )
    )
    with pytest.raises(UsageError) as caught:
        find_target(directory)
    assert "not there" not in str(caught.value)


def test_directory_missing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        find_target(tmp_path / "nix")


def test_unreadable_files_are_named() -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        for file in ("app.py", "manage.py"):
            (directory / file).write_text("app = f()")
            (directory / file).chmod(0)
        if root := not os.geteuid():
            os.seteuid(65534)
        try:
            with pytest.raises(UsageError) as caught:
                find_target(directory)
        finally:
            if root:
                os.seteuid(0)
    assert "  app.py cannot be read: Permission denied" in str(caught.value)
    assert "  manage.py cannot be read: Permission denied" in str(caught.value)


GUESSES: dict[str, Guess] = {
    "async def app(scope, receive, send): ...": "asgi",
    "def app(a, b): ...": "wsgi",
    "def app(a, b, /, c): ...": "asgi",
    "def app(a): ...": None,
    "def app(*args): ...": None,
    "def app(a, b, c=1): ...": None,
    "@deco\ndef app(a, b): ...": None,
    "class app: ...": None,
    "app = lambda a, b: 1": "wsgi",
    "app = lambda a, b, c: 1": "asgi",
    "from flask import Flask\napp = Flask('x')": "wsgi",
    "import flask\napp = flask.Flask('x')": "wsgi",
    "import flask as fl\napp: fl.Flask = fl.Flask('x')": "wsgi",
    "from fastapi import FastAPI as F\nother = F()\napp = other": "asgi",
    "from starlette.applications import Starlette\napp = Starlette()": "asgi",
    "from django.core.wsgi import get_wsgi_application\napp = get_wsgi_application()": "wsgi",
    "from django.core.asgi import get_asgi_application\napp = get_asgi_application()": "asgi",
    "import falcon.asgi\napp = falcon.asgi.App()": "asgi",
    "import falcon\napp = falcon.App()": "wsgi",
    "from .web import make\napp = make()": None,
    "from . import make\napp = make()": None,
    "app = makers['x']()": None,
    "app = registry['x']": None,
    "app, other = make()": None,
    "try:\n    import x\nexcept ImportError:\n    def app(a, b): ...": "wsgi",
    "if x:\n    pass\nelse:\n    def app(a, b): ...": "wsgi",
    "if __name__ != '__main__':\n    def app(a, b): ...": "wsgi",
    "with x:\n    def app(a, b): ...": "wsgi",
    "app = '\\d'\ndef app(a, b): ...": "wsgi",  # a warning for whoever compiles it
}


@pytest.mark.parametrize("text", GUESSES)
def test_guesses(text: str, tmp_path: Path) -> None:
    path = tmp_path / "x.py"
    path.write_text(text)
    assert bindings(read(path)).applications["app"] == GUESSES[text]


@pytest.mark.parametrize(
    "text",
    [
        "app: int",
        "app = 'text'",
        "x.app = f()",
        "(x.app, y) = f()",
        "def f():\n    app = f()",
        "class C:\n    app = f()",
        "from x import *",
        "if __name__ == '__main__':\n    app = f()",
    ],
)
def test_not_an_application(text: str, tmp_path: Path) -> None:
    path = tmp_path / "x.py"
    path.write_text(text)
    assert "app" not in bindings(read(path)).applications
