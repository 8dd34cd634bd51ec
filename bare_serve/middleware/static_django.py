"""A Django project's own settings say where its static files are.

What lives here: from STATIC_URL and STATIC_ROOT to a policy, or, while one develops, from the
finders of `django.contrib.staticfiles`, which have the admin's files, too. What must not: how a
file is served (static.py).

Django is taken as the application has set it up.
"""

from __future__ import annotations

import os
import re
import sys
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from bare_serve.errors import UsageError
from bare_serve.middleware.static import Static
from bare_serve.middleware.static_files import File, Files
from bare_serve.middleware.static_paths import is_path

_MANIFEST = "staticfiles.json"
# What ManifestStaticFilesStorage puts in front of the suffix: the beginning of an MD5.
_HASHED = r"\.[0-9a-f]{12}(?:\.[^./]*)?\Z"
_FINDERS = "django.contrib.staticfiles"


def django_static(
    settings: Any = None, *, finders: bool = False, fallthrough: bool | None = None
) -> Static:
    """Return the policy that serves the static files of a Django project.

    Args:
        settings: `django.conf.settings`, which is the default; the application has been imported.
        finders: look for each file where `manage.py runserver` does, in the folders of the apps
            and in STATICFILES_DIRS, and not where `collectstatic` has put them. For development.
        fallthrough: leave what is not there to the application; see `Static`.

    Raises:
        UsageError: this is no Django project, or its settings do not say where the files are.
    """
    if settings is None:
        module = sys.modules.get("django.conf")
        settings = getattr(module, "settings", None)
        if settings is None or not settings.configured:
            raise UsageError("--static django: the application is no Django project")
    prefix = _prefix(settings.STATIC_URL)
    if finders:
        if _FINDERS not in settings.INSTALLED_APPS:
            raise UsageError(f"--static django: {_FINDERS!r} is not among INSTALLED_APPS")
        return Static(prefix, _Found(), fallthrough=fallthrough)
    root = settings.STATIC_ROOT
    if not root:
        raise UsageError(
            "--static django: STATIC_ROOT is not set, which says where collectstatic puts the files"
        )
    root = os.fspath(root)
    immutable = _HASHED if os.path.exists(f"{root}/{_MANIFEST}") else None  # noqa: PTH110
    try:
        return Static(prefix, root, immutable=immutable, fallthrough=fallthrough)
    except OSError as error:
        raise UsageError(
            f"--static django: cannot read STATIC_ROOT, {root!r}: {error.strerror}; "
            "`manage.py collectstatic` makes it"
        ) from None


def _prefix(url: str | None) -> str:
    if not url:
        raise UsageError("--static django: STATIC_URL is not set")
    split = urlsplit(url)
    if split.netloc:
        raise UsageError(f"--static django: STATIC_URL is on another host: {url}")
    return re.sub("/{2,}", "/", f"/{split.path}")


class _Found(Files):
    """Files that Django's finders find, each below the directory that it was found in."""

    def __init__(self) -> None:
        self._finders: Any = import_module(f"{_FINDERS}.finders")
        self._below: dict[str, Files] = {}

    def find(self, path: str) -> tuple[File, int]:
        """See `Files.find`."""
        if not is_path(path):
            raise FileNotFoundError(path)
        found = self._finders.find(path)
        if not isinstance(found, str) or not found.endswith(f"/{path}"):
            raise FileNotFoundError(path)
        root = found[: -len(path)]
        files = self._below.get(root)
        if files is None:
            files = self._below[root] = Files(root)
        return files.find(path)
