"""The tests' site in Starlette. The routes are listed in tests/frameworks/test_frameworks.py."""

import hashlib

from starlette.applications import Starlette
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route


async def json_(request):
    host = request.headers["host"]
    return JSONResponse({"hello": "wörld", "numbers": [1, 2, 3], "host": host})


async def form(request):
    async with request.form() as fields:
        return JSONResponse(dict(fields))


async def upload(request):
    async with request.form() as fields:
        data = await fields["file"].read()
    return JSONResponse({"size": len(data), "sha256": hashlib.sha256(data).hexdigest()})


async def raw(request):
    digest, size = hashlib.sha256(), 0
    async for data in request.stream():
        digest.update(data)
        size += len(data)
    return JSONResponse({"size": size, "sha256": digest.hexdigest()})


async def download(request):
    async def stream():
        for number in range(request.path_params["pieces"]):
            yield bytes([number % 251]) * 65536

    return StreamingResponse(stream(), media_type="application/octet-stream")


async def cookies(request):
    answer = JSONResponse(request.cookies)
    answer.set_cookie("session", "s1", httponly=True)
    answer.set_cookie("theme", "dark")
    return answer


async def error(request):
    raise RuntimeError("a bug in the view")


app = Starlette(
    routes=[
        Route("/json", json_),
        Route("/form", form, methods=["POST"]),
        Route("/upload", upload, methods=["POST"]),
        Route("/raw", raw, methods=["PUT"]),
        Route("/download/{pieces:int}", download),
        Route("/cookies", cookies),
        Route("/error", error),
    ]
)
