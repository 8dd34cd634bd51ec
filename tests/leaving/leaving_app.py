"""An application that leaves something running: one request starts what its query names.

Whatever is started notes it, works until there is a file `go` in the current directory, and notes
that it has finished. Processes note their pid. `KINDS` says of each what becomes of it.
"""

from __future__ import annotations

import asyncio
import atexit
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

FINISHES, ENDED, IDLE, DROPPED, CANCELLED = "finishes", "ended", "idle", "dropped", "cancelled"

KINDS = {
    "thread": FINISHES,
    "daemon-thread": DROPPED,
    "executor": FINISHES,  # a second job waits behind the first
    "pool-spawn": IDLE,
    "pool-fork": IDLE,
    "pool-job": FINISHES,
    "process": FINISHES,
    "daemon-process": ENDED,
    "subprocess": ENDED,
    "forked": ENDED,  # by os.fork()
}
ASGI_KINDS = {
    **KINDS,
    "run-in-executor": FINISHES,
    "task": CANCELLED,
    "background-task": FINISHES,  # of Starlette
}

SCRIPT = """
import os, signal, time
def note(*words):
    with open("notes", "a") as file: file.write(" ".join(map(str, words)) + "\\n")
def term(*_):
    note("terminated", "subprocess")
    os._exit(0)
signal.signal(signal.SIGTERM, term)
note("started", "subprocess", os.getpid())
time.sleep(600)
"""

fork = multiprocessing.get_context("fork")
spawn = multiprocessing.get_context("spawn")
kept: list[Any] = []


def note(*words: object) -> None:
    line = " ".join(map(str, words)) + "\n"
    fd = os.open("notes", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, line.encode())
    os.close(fd)


def work(kind: str) -> None:
    note("started", kind, os.getpid())
    while not Path("go").exists():
        time.sleep(0.02)
    note("finished", kind)


def answer(_kind: str = "") -> int:
    return os.getpid()


async def work_in_task() -> None:
    note("started", "task", os.getpid())
    try:
        while not Path("go").exists():
            await asyncio.sleep(0.02)
        note("finished", "task")
    finally:
        note("ended", "task")


def _executor() -> None:
    pool = ThreadPoolExecutor(1)
    pool.submit(work, "executor")
    pool.submit(note, "finished", "executor-second")
    kept.append(pool)


def _pool(kind: str, context: Any) -> None:
    pool = ProcessPoolExecutor(1, mp_context=context)
    note("started", kind, pool.submit(answer).result())
    kept.append(pool)


def _pool_job() -> None:
    pool = ProcessPoolExecutor(1, mp_context=fork)
    pool.submit(work, "pool-job")
    kept.append(pool)


def _process(kind: str, daemon: bool) -> None:
    process = fork.Process(target=work, args=(kind,), daemon=daemon)
    process.start()
    kept.append(process)


def _forked() -> None:
    if not os.fork():
        try:
            work("forked")
        finally:
            os._exit(0)


START: dict[str, Callable[[], object]] = {
    "thread": lambda: threading.Thread(target=work, args=("thread",), name="late").start(),
    "daemon-thread": lambda: threading.Thread(
        target=work, args=("daemon-thread",), daemon=True
    ).start(),
    "executor": _executor,
    "pool-spawn": lambda: _pool("pool-spawn", spawn),
    "pool-fork": lambda: _pool("pool-fork", fork),
    "pool-job": _pool_job,
    "process": lambda: _process("process", False),
    "daemon-process": lambda: _process("daemon-process", True),
    "subprocess": lambda: kept.append(subprocess.Popen([sys.executable, "-c", SCRIPT])),
    "forked": _forked,
    "task": lambda: kept.append(asyncio.create_task(work_in_task())),
    "run-in-executor": lambda: asyncio.get_running_loop().run_in_executor(
        None, work, "run-in-executor"
    ),
    "background-task": lambda: None,
}


def start(kinds: str) -> None:
    if kinds:
        atexit.register(note, "atexit", os.getpid())
    for kind in filter(None, kinds.split(",")):
        START[kind]()


def wsgi(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start(environ["QUERY_STRING"])
    pid = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Length", str(len(pid)))])
    return [pid]


def _starlette() -> Any:
    from starlette.applications import Starlette
    from starlette.background import BackgroundTask
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    async def endpoint(request: Any) -> Any:
        kinds = request.url.query
        start(kinds)
        background = None
        if "background-task" in kinds:
            background = BackgroundTask(work, "background-task")
        return PlainTextResponse(str(os.getpid()), background=background)

    return Starlette(routes=[Route("/", endpoint)])


def __getattr__(name: str) -> Any:
    """`asgi` is made where it is asked for: half of the servers need no Starlette."""
    if name != "asgi":
        raise AttributeError(name)
    return globals().setdefault("asgi", _starlette())


# ---------------------------------------------------------------- what is forked, test_forks.py


def _back_to_the_server(_environ: Any) -> bytes:
    pid = os.fork()
    if pid == 0:
        note("child", os.getpid())
        return b"from the child"
    os.waitpid(pid, 0)
    return b"from the parent"


def _exits(_environ: Any) -> bytes:
    pid = os.fork()
    if pid == 0:
        sys.exit(7)
    return str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])).encode()


def _terminated(_environ: Any) -> bytes:
    process = fork.Process(target=work, args=("terminated",))
    process.start()
    while not (Path("notes").exists() and "started terminated" in Path("notes").read_text()):
        time.sleep(0.01)
    process.terminate()
    process.join()
    return str(process.exitcode).encode()


def _left_pool(_environ: Any) -> bytes:
    with fork.Pool(1) as pool:
        pool.apply_async(work, ("pool",))
    return b"left"


def _lasting(_environ: Any) -> bytes:
    """One child that outlives everything, in a session of its own, and has its own children."""
    pid = os.fork()
    if pid == 0:
        os.setsid()
        signal.alarm(60)
        work("lasting")
        os._exit(0)
    return str(pid).encode()


VIEWS = {
    "/back": _back_to_the_server,
    "/exits": _exits,
    "/terminated": _terminated,
    "/left-pool": _left_pool,
    "/lasting": _lasting,
}


def forking_wsgi(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    body = VIEWS.get(environ["PATH_INFO"], lambda _: str(os.getpid()).encode())(environ)
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


async def forking_asgi(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "http"
    view = VIEWS.get(scope["path"].removeprefix("/threaded"), lambda _: str(os.getpid()).encode())
    if scope["path"].startswith("/threaded"):
        body = await asyncio.to_thread(view, scope)
    else:
        body = view(scope)
    head = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": body})
