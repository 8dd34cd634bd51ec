"""Tests of the file server (pip install pytest; then `pytest examples/tests`)."""

import pytest

from bare_serve.testing import TestClient
from examples.bare_files import app


@pytest.mark.parametrize("interface", ["asgi", "wsgi"])
def test_files_of_the_folder_and_no_others(interface):
    client = TestClient(app if interface == "asgi" else app.wsgi)
    page = client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert client.get("/index.html").text == page.text
    known = {"if-none-match": page.headers["etag"]}
    assert client.get("/", headers=known).status == 304
    style = client.get("/style.css", headers={"range": "bytes=0-3"})
    assert (style.status, style.text) == (206, "body")
    for path in ("/../bare_files.py", "/%2e%2e/bare_files.py", "/.hidden", "/nothing"):
        assert client.get(path).status == 404
