"""Static files in front of an application, as the settings want them.

What lives here: from `--static` to policies, which middleware.py puts around the application. What
must not: how a file is served (middleware/static.py). Imported only if there is a `--static`.
"""

from __future__ import annotations

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
    """Return a policy for each `--static`, in their order.

    Raises:
        UsageError: a directory cannot be opened, or a value makes no sense.
    """
    found = []
    for mount in settings.static:
        if mount.prefix == DJANGO:
            from bare_serve.middleware.static_django import django_static

            found.append(django_static(fallthrough=_fallthrough(settings)))
        else:
            found.append(_policy(mount, settings))
    return found


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
