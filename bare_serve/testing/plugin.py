"""The pytest plugin: the fixture `live_server`, and a failing test with the log of its servers.

What lives here: what pytest has to find. What must not: servers (live.py), which are imported when
a test asks for the fixture and not before, since pytest loads this module in every suite of an
environment that has bare-serve installed.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

_LINES_COME = 0.15
"""Seconds: a line of the access log is written a tenth of a second after the answer."""

if TYPE_CHECKING:
    from bare_serve.testing.live import LiveServers


@pytest.fixture(scope="session")
def bare_live_server(request: pytest.FixtureRequest) -> Iterator[LiveServers]:
    """Serve by bare-serve, for real: bare_live_server("module:app", workers=2) gives a server.

    It has .url .ws_url .host .port .pid .log .request(method, path) .stop(), and is the same one
    for the same call, until the session ends.
    """
    from bare_serve.testing.live import LiveServers

    servers = LiveServers(request.config.rootpath)
    manager = request.config.pluginmanager
    reporter = _Reporter(servers)
    manager.register(reporter)
    try:
        yield servers
    finally:
        manager.unregister(reporter)
        servers.close()


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Offer `live_server`, unless another plugin, as pytest-django does, has one of that name."""
    manager = config.pluginmanager
    if any(hasattr(plugin, "live_server") for plugin in manager.get_plugins()):
        return

    @pytest.fixture(scope="session")
    def live_server(bare_live_server: LiveServers) -> LiveServers:
        """Serve by bare-serve, for real: live_server("module:app", workers=2) gives a server."""
        return bare_live_server

    holder = ModuleType("bare_serve live_server")  # pytest looks for fixtures in plugins alone
    setattr(holder, "live_server", live_server)
    manager.register(holder)


class _Reporter:
    """Is there while the fixture is: adds what servers wrote during a test to its failure."""

    def __init__(self, servers: LiveServers) -> None:
        self._servers = servers

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self) -> None:
        """Note where each log is now."""
        for server in self._servers:
            server.mark()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self,
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Show what was written since then."""
        report = yield
        if report.failed:
            if any(server.is_running for server in self._servers):
                time.sleep(_LINES_COME)
            for server in self._servers:
                if news := server.news:
                    report.sections.append((f"bare-serve {server.target} (pid {server.pid})", news))
        return report
