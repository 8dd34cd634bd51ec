"""What an application does not use is not in its process."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("asyncio", "ssl", "email", "http.client", "logging", "threading", "concurrent", "tempfile")
ANNOTATIONS = ("uuid", "inspect")
"""What annotations need, so the first handler brings them."""

PROGRAMS = {
    "import": "import bare_serve.bare",
    "names": "from bare_serve.bare import Bare, Request, Response, JSONResponse, NotFound",
    "an application that has answered by WSGI": """
import io
from bare_serve.bare import Bare

app = Bare()

@app.get("/{x:int}")
def page(request, x: int, q: str = "a"):
    return {"x": x, "q": q}

told = []
environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/5", "QUERY_STRING": "q=b",
           "wsgi.input": io.BytesIO(), "wsgi.url_scheme": "http"}
assert app.wsgi(environ, lambda *given: told.append(given)) == [b'{"x":5,"q":"b"}'], told
""",
}


@pytest.mark.parametrize("case", PROGRAMS)
def test_what_is_not_used_is_not_imported(case: str) -> None:
    unwanted = HEAVY if case.startswith("an") else (*ANNOTATIONS, *HEAVY)
    program = f"import sys; before = {{*sys.modules}}\n{PROGRAMS[case]}\n"
    program += f"print([name for name in {unwanted!r} if name in {{*sys.modules}} - before])"
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.stdout.strip(), ended.stderr) == ("[]", "")
