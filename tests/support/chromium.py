"""A browser: headless Chromium, told what to do over its DevTools protocol."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from tests.support.raw_client import RawClient
from tests.support.waiting import eventually

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--remote-debugging-port=0"),
)


class Page:
    """A tab."""

    def __init__(self, tab: ClientConnection) -> None:
        self._tab = tab
        self._count = 0

    def call(self, method: str, **params: Any) -> Any:
        """What a method of the DevTools protocol returns; AssertionError if it fails, as it does
        while the page loads another one."""
        self._count += 1
        self._tab.send(json.dumps({"id": self._count, "method": method, "params": params}))
        while (told := json.loads(self._tab.recv(30))).get("id") != self._count:
            pass
        assert "result" in told, told
        return told["result"]

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        return found["result"].get("value")

    def shows(self, text: str) -> None:
        """Waits until the text is to be read on the page."""
        script = f"document.body.innerText.includes({json.dumps(text)})"
        eventually(lambda: self.run(script), f"{text!r} on the page", 30)


@contextmanager
def opened(port: int, url: str) -> Iterator[Page]:
    """A new tab in the browser whose DevTools are at `port`."""
    with connect(_devtools(port), max_size=None, proxy=None) as browser:
        call = {"id": 1, "method": "Target.createTarget", "params": {"url": url}}
        browser.send(json.dumps(call))
        target = json.loads(browser.recv(30))["result"]["targetId"]
    where = f"ws://127.0.0.1:{port}/devtools/page/{target}"
    with connect(where, max_size=None, proxy=None, ping_interval=None) as tab:
        yield Page(tab)


def _devtools(port: int) -> str:
    with RawClient(("127.0.0.1", port)) as client:
        client.send(b"GET /json/version HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % port)
        return str(json.loads(client.response().body)["webSocketDebuggerUrl"])


@contextmanager
def chromium(directory: Path) -> Iterator[int]:
    """The port of the DevTools of a headless Chromium with a profile of its own."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("there is no chromium here: apt-get install chromium")
    profile = directory / "profile"
    with (directory / "chromium.log").open("wb") as log:
        browser = subprocess.Popen(
            [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"], stdout=log, stderr=log
        )
    try:
        port = profile / "DevToolsActivePort"
        found = eventually(lambda: port.read_text().split(), "the port of the browser", 40)
        yield int(found[0])
    finally:
        browser.terminate()
        try:
            browser.wait(10)
        except subprocess.TimeoutExpired:
            browser.kill()
            browser.wait()
