"""A test against two versions: it passes with ours, and fails with the one that has the fault.

Also how the tests here make clients: by both interfaces, with one body of a test.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import bare_serve.bare
from bare_serve.testing import TestClient
from tests.bare.book import roll

both = pytest.mark.parametrize("interface", ["asgi", "wsgi"])


def client(app: Any, interface: str = "asgi", **options: Any) -> TestClient:
    """A client of an application by one of its interfaces."""
    return TestClient(app if interface == "asgi" else app.wsgi, **options)


def against(ours: Any = bare_serve.bare, book: Any = roll) -> Callable[..., Any]:
    """Run a test with `ours`, and have it fail with `book`."""

    def decorate(test: Callable[[Any], None]) -> Any:
        def check(version: Any, fails: bool) -> None:
            if not fails:
                test(version)
                return
            try:
                test(version)
            except (Exception, SystemExit, pytest.fail.Exception):
                return
            pytest.fail("the version with the fault passes")

        check.__doc__ = test.__doc__
        cases = [pytest.param(ours, False, id="ours"), pytest.param(book, True, id="book")]
        return pytest.mark.parametrize(("version", "fails"), cases)(check)

    return decorate
