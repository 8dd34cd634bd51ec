"""A site of FastAPI's."""

from fastapi import FastAPI

app = FastAPI()


@app.get("/orders/{number}")
async def order(number: int) -> dict[str, object]:
    return {"order": number, "lines": [1, 2, 3]}
