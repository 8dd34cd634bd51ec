"""A FastAPI application with a lifespan, served over ASGI by two workers (pip install fastapi).

bare-serve examples/fastapi_app.py:app --workers 2
"""

from contextlib import asynccontextmanager

from fastapi import FastAPI, Request


@asynccontextmanager
async def lifespan(app: FastAPI):
    yield {"greeting": "Hello"}


app = FastAPI(lifespan=lifespan)


@app.get("/")
async def hello(request: Request, name: str = "world"):
    return {"message": f"{request.state.greeting}, {name}! This is FastAPI."}
