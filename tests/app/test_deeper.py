"""Applications below the directory, and places that are typed instead of a target.

Every file written here would fail loudly if it were imported: the first line raises.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from bare_serve.app import find_target
from bare_serve.app.meant import find_meant
from bare_serve.errors import UsageError

POISON = "raise SystemError('imported')\n"
APP = "app = f()"
FLASK = "from flask import Flask\napp = Flask('x')"
ENTRY = '[tool.fastapi]\nentrypoint = "{}"\n'
DJANGO = {
    "manage.py": "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'site.settings')\n",
    "site/settings.py": "WSGI_APPLICATION = 'site.wsgi.application'\n",
}


def write(top: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(POISON + text if name.endswith(".py") else text)
    return top


def below(top: Path, directory: Path | None) -> str:
    return "" if directory is None else os.path.relpath(directory, top)


def under(folder: str, files: dict[str, str]) -> dict[str, str]:
    return {f"{folder}/{name}": text for name, text in files.items()}


# Files, the interface asked for, the target, and what it is imported from.
FOUND: dict[str, tuple[dict[str, str], str, str, str]] = {
    "api.py": ({"api.py": APP}, "auto", "api:app", ""),
    "app/main.py": ({"app/main.py": APP}, "auto", "app.main:app", ""),
    "app/ beside others": ({"app/main.py": APP, "shop/app.py": APP}, "auto", "app.main:app", ""),
    "src/main.py": ({"src/main.py": APP}, "auto", "main:app", "src"),
    "src/app/main.py": ({"src/app/main.py": APP}, "auto", "app.main:app", "src"),
    "src of Django": (under("src", DJANGO), "auto", "site.wsgi:application", "src"),
    "a package": ({"shop/__init__.py": "", "shop/web.py": APP, "shop/asgi.py": APP}, "auto",
                  "shop.asgi:app", ""),
    "a package itself": ({"shop/__init__.py": APP}, "auto", "shop:app", ""),
    "a package in src": ({"src/shop/__init__.py": "", "src/shop/main.py": APP}, "auto",
                         "shop.main:app", "src"),
    "a folder without __init__": ({"backend/main.py": APP}, "auto", "backend.main:app", ""),
    "not tests, examples": ({"shop/main.py": APP, "tests/app.py": APP, "examples/app.py": APP},
                            "auto", "shop.main:app", ""),
    "what fits": ({"shop/wsgi.py": FLASK, "shop/asgi.py": APP}, "asgi", "shop.asgi:app", ""),
    "broken": ({"shop/main.py": "app = ("}, "auto", "shop.main", ""),
    "a relative import": ({"shop/__init__.py": "from .web import app", "shop/web.py": APP}, "auto",
                          "shop:app", ""),
    "a relative module": ({"shop/__init__.py": "from . import app", "shop/app.py": APP}, "auto",
                          "shop.app:app", ""),
    "the directory first": ({"main.py": APP, "app/main.py": APP}, "auto", "main:app", ""),
    "entrypoint": ({"pyproject.toml": ENTRY.format("shop.web:api"), "main.py": APP,
                    "shop/web.py": APP}, "auto", "shop.web:api", ""),
    "entrypoint in src": ({"pyproject.toml": ENTRY.format("shop.web:api"),
                           "src/shop/__init__.py": ""}, "auto", "shop.web:api", "src"),
    "entrypoint, but WSGI": ({"pyproject.toml": ENTRY.format("web:api"), "app.py": FLASK}, "wsgi",
                             "app:app", ""),
    "entrypoint behind a mark": ({"pyproject.toml": "\ufeff" + ENTRY.format("shop.web:api"),
                                 "shop/web.py": APP}, "auto", "shop.web:api", ""),
    "no entrypoint": ({"pyproject.toml": "[tool.fastapi]\n", "app.py": APP}, "auto", "app:app", ""),
    "a strange entrypoint": ({"pyproject.toml": "[tool.fastapi]\nentrypoint = 3", "app.py": APP},
                             "auto", "app:app", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", FOUND)
def test_found(name: str, tmp_path: Path) -> None:
    files, prefer, target, directory = FOUND[name]
    modules = set(sys.modules)
    found = find_target(write(tmp_path, files), prefer)
    assert (found.target, below(tmp_path, found.directory)) == (target, directory)
    assert set(sys.modules) - modules <= {"bare_serve.app.deeper", "tomllib"} | {
        name for name in sys.modules if name.startswith("tomllib.")
    }


def test_says_where(tmp_path: Path) -> None:
    found = find_target(write(tmp_path, {"src/shop/main.py": APP}))
    assert found.how == "src/shop/main.py defines app"
    assert found.command(tmp_path) == "bare-serve shop.main:app --app-dir src"


REFUSED: dict[str, tuple[dict[str, str], list[str]]] = {
    "several": (
        {"shop/main.py": APP, "blog/app.py": APP, "src/news/main.py": APP},
        [
            "there are several below ",
            "\n  bare-serve blog.app:app  (blog/app.py defines app)\n",
            "\n  bare-serve shop.main:app  (",
            "\n  bare-serve news.main:app --app-dir src  (",
            "\nName the one to serve.",
        ],
    ),
    "a factory": (
        {"shop/__init__.py": "def create_app(): ..."},
        ["it has a factory: bare-serve shop:create_app --factory"],
    ),
    "nothing in it": ({"shop/main.py": "x = 1"}, ["shop/main.py defines none of application,"]),
    "a broken entrypoint": (
        {"pyproject.toml": ENTRY.format("shop:")},
        ["pyproject.toml has no [tool.fastapi] entrypoint to take: 'shop:' is not a target"],
    ),
    "an entrypoint that is no text": (
        {"pyproject.toml": "[tool.fastapi]\nentrypoint = 3"},
        ["pyproject.toml has no [tool.fastapi] entrypoint to take: 3 is no text"],
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_commands(name: str, tmp_path: Path) -> None:
    files, words = REFUSED[name]
    with pytest.raises(UsageError) as caught:
        find_target(write(tmp_path, files))
    assert [word for word in words if word not in str(caught.value)] == []


PROJECT = {
    "main.py": APP,
    "shop/__init__.py": "",
    "shop/web/__init__.py": "",
    "shop/web/main.py": APP,
    "plain/app.py": APP,
    "nested/src/app.py": APP,
    "empty/readme": "",
    "bad/__init__.py": "",
    "only/__init__.py": "",
    "only/asgi.py": APP,
    **under("site", DJANGO),
    "file": "",
}
MEANT = [
    (".", "main:app", ""),
    ("./", "main:app", ""),
    ("only/", "only.asgi:app", ""),
    ("./only", "only.asgi:app", ""),
    ("shop/web/", "shop.web.main:app", ""),
    ("plain/", "app:app", "plain"),
    ("nested/", "app:app", "nested/src"),
    ("site/", "site.wsgi:application", "site"),
    ("site/manage.py", "site.wsgi:application", "site"),
]


@pytest.mark.parametrize(("text", "target", "directory"), MEANT)
def test_a_place_leads_to_what_is_there(
    tmp_path: Path, text: str, target: str, directory: str
) -> None:
    found = find_meant(text, write(tmp_path, PROJECT), "auto")
    assert found is not None
    assert (found.target, below(tmp_path, found.directory)) == (target, directory)


@pytest.mark.parametrize("text", ["nothing/", "manage.py", "file/", "a/b.py"])
def test_what_is_no_place_is_left_to_others(tmp_path: Path, text: str) -> None:
    assert find_meant(text, write(tmp_path, PROJECT), "auto") is None


def test_a_place_without_an_application_is_refused(tmp_path: Path) -> None:
    write(tmp_path, PROJECT)
    with pytest.raises(UsageError, match="'bad/' is a package in which no application was found"):
        find_meant("bad/", tmp_path, "auto")
    with pytest.raises(UsageError, match=r"none was found in .*empty"):
        find_meant("empty/", tmp_path, "auto")
    (tmp_path / "manage.py").write_text("")
    with pytest.raises(UsageError, match=r"'manage\.py' leads to no application: manage\.py does"):
        find_meant("manage.py", tmp_path, "auto")
