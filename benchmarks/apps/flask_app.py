"""A Flask application that answers a little JSON."""

from __future__ import annotations

from typing import Any

from flask import Flask

app = Flask(__name__)


@app.get("/")
def hello() -> dict[str, Any]:
    return {"message": "Hello, world!", "numbers": [1, 2, 3]}
