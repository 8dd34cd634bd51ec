"""What a browser's own tools know of an x-ray: they read Server-Timing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support import serve
from tests.support.chromium import chromium, opened

APP = '''
def around(application):
    def layer(environ, start_response):
        return application(environ, start_response)
    return layer

class Päge:
    """Its name is no word of a header."""

    def __call__(self, environ, start_response):
        start_response("200 OK", [("Content-Type", "text/html")])
        return [b"<p>hello</p>"]

app = around(Päge())
'''
TIMINGS = """
performance.getEntriesByType("navigation")[0].serverTiming
    .map(each => [each.name, each.description, each.duration])
"""


@pytest.mark.timeout(120)
def test_its_panel_has_the_steps_and_the_layers(tmp_path: Path) -> None:
    with (
        chromium(tmp_path) as port,
        serve("app:app", "--xray", source=APP) as server,
        opened(port, server.url) as page,
    ):
        page.shows("hello")
        found = page.run(TIMINGS)
    names = [[name, description] for name, description, _ in found]
    assert names[:2] == [["parse", ""], ["app", ""]]
    layers = [["layer1", "around.layer"], ["layer2", "P?ge"]]
    assert names[2:] == (layers if sys.version_info >= (3, 12) else [])
    assert all(took >= 0 for _, _, took in found)
