"""A site of Starlette's, with a stream."""

import asyncio

from starlette.applications import Starlette
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route


async def order(request):
    return JSONResponse({"order": request.path_params["number"], "lines": [1, 2, 3]})


async def ticks(request):
    async def pieces():
        for number in range(3):
            yield f"tick {number}\n"
            await asyncio.sleep(0.02)  # so that each piece leaves alone

    return StreamingResponse(pieces(), media_type="text/plain")


app = Starlette(routes=[Route("/orders/{number:int}", order), Route("/ticks", ticks)])
