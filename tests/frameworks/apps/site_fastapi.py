"""The tests' site in FastAPI. The routes are listed in tests/frameworks/test_frameworks.py."""

import hashlib
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import FastAPI, Form, Request, Response, UploadFile
from fastapi.responses import StreamingResponse


@asynccontextmanager
async def lifespan(app: FastAPI):
    yield {"hello": "wörld"}


app = FastAPI(lifespan=lifespan)


@app.get("/json")
async def json_(request: Request):
    host = request.headers["host"]
    return {"hello": request.state.hello, "numbers": [1, 2, 3], "host": host}


@app.post("/form")
async def form(name: Annotated[str, Form()], city: Annotated[str, Form()]):
    return {"name": name, "city": city}


@app.post("/upload")
async def upload(file: UploadFile):
    data = await file.read()
    return {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


@app.put("/raw")
async def raw(request: Request):
    digest, size = hashlib.sha256(), 0
    async for data in request.stream():
        digest.update(data)
        size += len(data)
    return {"size": size, "sha256": digest.hexdigest()}


@app.get("/download/{pieces}")
async def download(pieces: int):
    async def stream():
        for number in range(pieces):
            yield bytes([number % 251]) * 65536

    return StreamingResponse(stream(), media_type="application/octet-stream")


@app.get("/cookies")
async def cookies(request: Request, response: Response):
    response.set_cookie("session", "s1", httponly=True)
    response.set_cookie("theme", "dark")
    return request.cookies


@app.get("/error")
def error():
    raise RuntimeError("a bug in the view")
