"""A FastAPI application that answers a little JSON."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

app = FastAPI()


@app.get("/")
async def hello() -> dict[str, Any]:
    return {"message": "Hello, world!", "numbers": [1, 2, 3]}
