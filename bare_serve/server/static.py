"""Static files in front of an application, as the settings want them.

What lives here: from `--static` to policies, which middleware.py puts around the application. What
must not: how a file is served (middleware/static.py). Imported only if there is a `--static`, or
a Django project under `--dev`.
"""

from __future__ import annotations

import sys

from bare_serve.config.settings import Settings
from bare_serve.config.static import DJANGO, Mount
from bare_serve.errors import UsageError
from bare_serve.middleware.static import Static


def check_static(settings: Settings) -> None:
    """Refuse what no worker could serve; what Django's settings say is looked at in the worker.

    Raises:
        UsageError: see `static_policies`.
    """
    for mount in settings.static:
        if mount.prefix != DJANGO:
            _policy(mount, settings)


def static_policies(settings: Settings) -> list[Static]:
    """Return a policy for each `--static`, in their order; then that of a Django project's files
    under `--dev`.

    Raises:
        UsageError: a directory cannot be opened, or a value makes no sense.
    """
    found = []
    for mount in settings.static:
        if mount.prefix == DJANGO:
            found.append(_django(settings))
        else:
            found.append(_policy(mount, settings))
    if all(mount.prefix != DJANGO for mount in settings.static):
        found += filter(None, (found_in_development(settings),))
    return found


def _django(settings: Settings) -> Static:
    from bare_serve.middleware.static_django import django_static

    fallthrough = _fallthrough(settings)
    return found_in_development(settings, fallthrough) or django_static(fallthrough=fallthrough)


def found_in_development(settings: Settings, fallthrough: bool | None = True) -> Static | None:
    """Return the policy by which `--dev` serves the files of a Django project as `runserver` does;
    None for any other application, and for a project that has none.

    The application has been loaded.
    """
    if not settings.dev or "django.conf" not in sys.modules:
        return None
    from bare_serve.middleware.static_django import django_static

    try:
        return django_static(finders=True, fallthrough=fallthrough)
    except UsageError:  # they are not wanted, or another server has them
        return None


def _policy(mount: Mount, settings: Settings) -> Static:
    try:
        return Static(
            mount.prefix,
            mount.path,
            index=settings.static_index,
            immutable=settings.static_immutable,
            max_age=settings.static_max_age,
            fallthrough=_fallthrough(settings),
        )
    except ValueError as error:
        raise UsageError(f"--static {mount.prefix}={mount.path}: {error}") from None
    except OSError as error:
        raise UsageError(
            f"--static {mount.prefix}={mount.path}: cannot read it: {error.strerror}"
        ) from None


def _fallthrough(settings: Settings) -> bool | None:
    return True if settings.static_fallthrough else None  # else as the prefix has it
