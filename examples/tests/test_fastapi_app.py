"""Tests of the FastAPI example (pip install fastapi pytest; then `pytest examples/tests`)."""

import asyncio

from bare_serve.testing import AsyncTestClient, TestClient
from examples.fastapi_app import app


def test_hello():
    with TestClient(app) as client:  # `with` runs the lifespan, which makes the greeting
        response = client.get("/?name=Ann")
    assert response.status == 200
    assert response.json() == {"message": "Hello, Ann! This is FastAPI."}


def test_hello_in_an_asynchronous_test():
    async def test():
        async with AsyncTestClient(app) as client:
            requests = [client.get("/", params={"name": name}) for name in ("Ann", "Bob")]
            ann, bob = await asyncio.gather(*requests)
        assert "Ann" in ann.json()["message"]
        assert "Bob" in bob.json()["message"]

    asyncio.run(test())


def test_what_is_not_there():
    with TestClient(app) as client:
        assert client.get("/elsewhere").json() == {"detail": "Not Found"}
        assert client.post("/").status == 405
