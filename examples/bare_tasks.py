"""A JSON API with a database: `bare-serve examples/bare_tasks.py:app --workers 2`.

The connection is injected: opened for a call, committed when the handler returns, rolled back if
it raises, closed in any case, and all on one thread, as sqlite3 wants it. The answer starts after
the commit. The same application as WSGI: `bare-serve examples/bare_tasks.py:app.wsgi --workers 2`.

    curl -d '{"title": "tea"}' -H 'content-type: application/json' \
        -H 'authorization: Bearer let-me-in' localhost:8000/tasks
"""

import hmac
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from bare_serve.bare import Bare, HTTPError, Json, JSONResponse, Request, Unauthorized, Use

DATABASE = os.environ.get("TASKS_DB", str(Path(tempfile.gettempdir()) / "bare-serve-tasks.db"))
TOKEN = os.environ.get("TASKS_TOKEN", "let-me-in")
SCHEMA = """create table if not exists task
    (id integer primary key, title text not null unique, done integer not null default 0)"""

app = Bare()


def open_database(path: str) -> Iterator[sqlite3.Connection]:
    db = sqlite3.connect(path)
    db.row_factory = sqlite3.Row
    db.execute(SCHEMA)
    try:
        yield db
        db.commit()
    except BaseException:
        db.rollback()
        raise
    finally:
        db.close()


def connection() -> Iterator[sqlite3.Connection]:
    yield from open_database(DATABASE)


def current_user(request: Request) -> str:
    given = request.header("authorization").encode()
    if not hmac.compare_digest(given, f"Bearer {TOKEN}".encode()):
        raise Unauthorized("A token is needed.", {"www-authenticate": "Bearer"})
    return "you"


Database = Annotated[sqlite3.Connection, Use(connection)]
User = Annotated[str, Use(current_user)]


class NoSuchTask(Exception):
    pass


@dataclass
class NewTask:
    title: str

    def __post_init__(self) -> None:
        if not 0 < len(self.title) <= 200:
            raise ValueError("A title has 1 to 200 characters.")


@app.get("/")
def index(db: Database) -> dict[str, Any]:
    count = db.execute("select count(*) from task").fetchone()[0]
    return {"greeting": "Hello, world!", "tasks": count}


@app.get("/tasks")
def tasks(db: Database, done: bool = False) -> list[sqlite3.Row]:
    return db.execute("select * from task where done = ? order by id", [done]).fetchall()


@app.post("/tasks")
def create(user: User, db: Database, data: Annotated[NewTask, Json]) -> JSONResponse:
    query = "insert into task (title) values (?) returning *"
    task = db.execute(query, [data.title]).fetchone()
    location = app.url("show", number=task["id"])
    return JSONResponse(task, 201, {"location": location})


@app.get("/tasks/{number:int}")
def show(db: Database, number: int) -> sqlite3.Row:
    found: sqlite3.Row | None
    found = db.execute("select * from task where id = ?", [number]).fetchone()
    if found is None:
        raise NoSuchTask(f"There is no task {number}.")
    return found


@app.patch("/tasks/{number:int}")
async def finish(user: User, db: Database, number: int, done: bool = True) -> sqlite3.Row:
    # An `async def` handler runs on the event loop, its connection with it: keep such calls short.
    db.execute("update task set done = ? where id = ?", [done, number])
    return show(db, number)


@app.delete("/tasks/{number:int}")
def delete(user: User, db: Database, number: int) -> None:
    show(db, number)
    db.execute("delete from task where id = ?", [number])


@app.error(NoSuchTask)
def missing(request: Request, error: NoSuchTask) -> JSONResponse:
    return JSONResponse({"error": str(error)}, 404)


@app.error(sqlite3.IntegrityError)
def taken(request: Request, error: sqlite3.IntegrityError) -> JSONResponse:
    conflict = HTTPError(409, "There is such a task.")
    return JSONResponse({"error": conflict.detail}, conflict.status)
