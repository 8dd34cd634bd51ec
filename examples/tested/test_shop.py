"""The tests of the shop, by the fixture `live_server`: pytest examples/tested runs them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import shop

if TYPE_CHECKING:
    from bare_serve.testing.live import LiveServer, LiveServers


@pytest.fixture
def server(live_server: LiveServers) -> LiveServer:
    """Serve the shop by two workers, started once for all of these tests."""
    return live_server("shop:app", workers=2, app_dir=Path(__file__).parent)


def test_a_price(server: LiveServer) -> None:
    """A thing has its price."""
    answer = server.request("GET", "/prices/tea")
    assert (answer.status, answer.json()) == (200, {"name": "tea", "price": 3})


def test_what_the_shop_has_not(server: LiveServer) -> None:
    """Anything else is not found."""
    assert server.request("GET", "/prices/gold").status == 404


@pytest.fixture
def sale(monkeypatch: pytest.MonkeyPatch) -> None:
    """Halve a price; only this process knows."""
    monkeypatch.setitem(shop.PRICES, "cake", 2)


@pytest.mark.usefixtures("sale")
def test_a_sale(live_server: LiveServers) -> None:
    """The application itself is served in this process, where the price is another one."""
    assert live_server(shop.app).request("GET", "/prices/cake").json()["price"] == 2
