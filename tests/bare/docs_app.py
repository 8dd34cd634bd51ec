"""The application whose x-rays docs/bare.md has."""

from __future__ import annotations

from typing import Any

from bare_serve.bare import Bare

app = Bare()


@app.get("/tasks/{number:int}")
async def show(number: int) -> Any:
    return {"id": number}


plain = Bare()


@plain.get("/tasks/{number:int}")
def show_plain(number: int) -> Any:
    return {"id": number}


wsgi = plain.wsgi
