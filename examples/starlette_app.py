"""A Starlette application that streams its answer (pip install starlette).

bare-serve examples/starlette_app.py:app --workers 2
"""

from starlette.applications import Starlette
from starlette.responses import StreamingResponse
from starlette.routing import Route


async def hello(request):
    async def words():
        for word in (
            "Hello, ",
            request.query_params.get("name", "world"),
            "! ",
            "This is Starlette.\n",
        ):
            yield word

    return StreamingResponse(words(), media_type="text/plain")


app = Starlette(routes=[Route("/", hello)])
