"""What docs/bare.md shows is so: each pair answers the same, the x-rays are a server's."""

from __future__ import annotations

import re
from typing import Any

import pytest

from bare_serve.testing import TestClient
from tests.xray.test_golden import masked
from tools.bare_doc import DOCUMENT, MARKED, real_block

_STEP = re.compile(
    r"```python\n(?P<code>.*?)```|<!-- (?P<what>same|same status): (?P<asked>.*?) -->", re.DOTALL
)


def answered(app: Any, asked: str) -> Any:
    method, path, *body = asked.split(" ", 2)
    sent: dict[str, Any] = {}
    if body:
        sent = {"content": body[0].encode(), "headers": {"content-type": "application/json"}}
    answer = TestClient(app, interface="wsgi" if "wsgi" in repr(app) else "asgi").request(
        method, path, **sent
    )
    return answer.status, answer.headers["content-type"], answer.content


def test_each_pair_answers_the_same() -> None:
    names: dict[str, Any] = {"__name__": __name__}
    compared = 0
    for step in _STEP.finditer(DOCUMENT.read_text("utf-8")):
        if step["code"]:
            exec(compile(step["code"], "docs/bare.md", "exec"), names)
            continue
        theirs, ours = (answered(names[name], step["asked"]) for name in ("bare", "app"))
        if step["what"] == "same":
            assert ours == theirs, step["asked"]
        assert ours[:2] == theirs[:2], step["asked"]
        compared += 1
    assert compared >= 12


@pytest.mark.parametrize("interface", ["asgi", "wsgi"])
def test_an_x_ray_is_what_a_server_shows(interface: str) -> None:
    told = {found[1]: found for found in MARKED.finditer(DOCUMENT.read_text("utf-8"))}
    found = told[interface]
    assert masked(found[3]) == masked(real_block(interface, found[2]) + "\n")
