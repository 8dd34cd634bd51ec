"""Startup and shutdown of the application, in every way an application may take them."""

from __future__ import annotations

import asyncio
import logging
import sys
import traceback
from typing import Any

import pytest

from bare_serve.asgi import Lifespan
from bare_serve.errors import AppLoadError
from tests.asgi.conftest import Run

COMPLETE = {"type": "lifespan.startup.complete"}
STOPPED = {"type": "lifespan.shutdown.complete"}


async def start_and_stop(app: Any, mode: str = "auto") -> Lifespan:
    lifespan = Lifespan(app, mode)
    await lifespan.startup()
    return lifespan


def test_a_whole_life(run: Run) -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope == {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": {},
        }
        seen.append(scope["type"])
        seen.append((await receive())["type"])
        scope["state"]["pool"] = 1
        await send(COMPLETE)
        seen.append((await receive())["type"])
        await send(STOPPED)
        seen.append("end")

    async def scene() -> None:
        lifespan = await start_and_stop(app)
        assert (lifespan.status, lifespan.state) == ("on", {"pool": 1})
        await lifespan.shutdown(5)

    run(scene())
    assert seen == ["lifespan", "lifespan.startup", "lifespan.shutdown", "end"]


def test_off_never_calls_the_app(run: Run) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("called")

    async def scene() -> None:
        lifespan = await start_and_stop(app, "off")
        assert lifespan.status == "off"
        await lifespan.shutdown(5)

    run(scene())


def test_state_replaced_by_the_app(run: Run) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        scope["state"] = {"mine": True}
        await send(COMPLETE)
        await receive()

    async def scene() -> None:
        lifespan = await start_and_stop(app)
        assert lifespan.state == {"mine": True}
        await lifespan.shutdown(5)

    run(scene())


async def raises_at_once(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "http"


async def returns_at_once(scope: Any, receive: Any, send: Any) -> None:
    return


async def takes_and_returns(scope: Any, receive: Any, send: Any) -> None:
    await receive()


async def answers_http(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})


async def reads_then_answers_http(scope: Any, receive: Any, send: Any) -> None:
    (await receive()).get("body")
    await send({"type": "http.response.start", "status": 200, "headers": []})


STRANGERS = [
    raises_at_once,
    returns_at_once,
    takes_and_returns,
    answers_http,
    reads_then_answers_http,
]


@pytest.mark.parametrize("app", STRANGERS)
def test_auto_goes_on_without_an_app_that_has_no_lifespan(run: Run, app: Any) -> None:
    async def scene() -> None:
        lifespan = await start_and_stop(app)
        assert (lifespan.status, lifespan.state) == ("unsupported", {})
        await lifespan.shutdown(5)

    run(scene())


@pytest.mark.parametrize("app", STRANGERS)
def test_on_insists(run: Run, app: Any) -> None:
    with pytest.raises(AppLoadError, match=r"the application (raised|returned)"):
        run(start_and_stop(app, "on"))


@pytest.mark.parametrize("mode", ["auto", "on"])
def test_startup_failed(run: Run, mode: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    with pytest.raises(AppLoadError, match="lifespan startup failed: no database"):
        run(start_and_stop(app, mode))


TELLS = """
async def app(scope, receive, send):
    await receive()
    try:
        raise OSError("no database")
    except OSError as error:
        await send({"type": "lifespan.startup.failed", "message": MESSAGE})
"""


@pytest.mark.parametrize(
    ("file", "message", "is_shown"),
    [
        ("/x/site-packages/framework/core.py", "str(error)", True),
        ("/srv/shop/web.py", "''", True),
        ("/srv/shop/web.py", "str(error)", False),
    ],
)
def test_the_exception_that_was_handled_is_the_origin(
    run: Run, file: str, message: str, is_shown: bool
) -> None:
    """Who has caught it in code of their own has chosen the words; a framework has not."""
    names: dict[str, Any] = {}
    exec(compile(TELLS.replace("MESSAGE", message), file, "exec"), names)
    with pytest.raises(AppLoadError, match="startup failed") as caught:
        run(start_and_stop(names["app"]))
    assert isinstance(caught.value.origin, OSError)
    assert caught.value.details.endswith("OSError: no database\n") is is_shown
    assert bool(caught.value.details) is is_shown


@pytest.mark.parametrize("handles", [True, False])
def test_a_traceback_that_a_framework_sends_is_no_part_of_the_sentence(
    run: Run, handles: bool
) -> None:
    """Starlette sends it as the message: it stands first, and one conclusion last."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        try:
            raise OSError("no database")
        except OSError:
            text = traceback.format_exc()
            if handles:
                await send({"type": "lifespan.startup.failed", "message": text})
        await send({"type": "lifespan.startup.failed", "message": text})

    with pytest.raises(AppLoadError) as caught:
        run(start_and_stop(app))
    said = "raised OSError in its startup" if handles else "'s lifespan startup failed"
    sep = " " if handles else ""
    assert str(caught.value) == f"the application{sep}{said}, see its traceback"
    assert caught.value.details.startswith("Traceback (most recent call last):")
    assert caught.value.details.endswith("OSError: no database\n")


@pytest.mark.parametrize("mode", ["auto", "on"])
def test_an_exception_after_startup_was_received_is_a_failure(run: Run, mode: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        raise LookupError("the database is on fire")

    with pytest.raises(AppLoadError, match="raised LookupError in its startup") as caught:
        run(start_and_stop(app, mode))
    details = caught.value.details
    assert "LookupError: the database is on fire" in details
    assert "test_lifespan.py" in details
    assert "bare_serve" not in details, "the traceback is the application's own"


@pytest.mark.parametrize("error", [asyncio.CancelledError("stray"), KeyboardInterrupt("stray")])
def test_a_startup_that_ends_by_more_than_an_exception(run: Run, error: BaseException) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        raise error

    with pytest.raises(AppLoadError, match="in its startup, see its traceback"):
        run(start_and_stop(app))


@pytest.mark.parametrize("mode", ["auto", "on"])
@pytest.mark.parametrize("receives", [False, True])
@pytest.mark.parametrize(
    ("code", "called"),
    [(3, r"sys.exit\(3\)"), (None, r"sys.exit\(\)"), ("no", r"sys.exit\('no'\)")],
)
def test_sys_exit_in_the_startup_is_called_so(
    run: Run, mode: str, receives: bool, code: Any, called: str
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if receives:
            await receive()
        sys.exit(code)

    said = f"the application called {called} in its lifespan startup"
    with pytest.raises(AppLoadError, match=said) as caught:
        run(start_and_stop(app, mode))
    details = caught.value.details
    assert details.rstrip().splitlines()[-1].startswith("SystemExit")
    assert "RuntimeError" not in details
    assert "bare_serve" not in details


def test_sys_exit_in_the_shutdown_is_called_so(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        sys.exit(1)

    async def scene() -> None:
        lifespan = await start_and_stop(app)
        await lifespan.shutdown(5)

    run(scene())
    assert "The application called sys.exit(1) in its lifespan." in caplog.text
    assert "Traceback" not in caplog.text


def test_shutdown_failed_is_logged(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(COMPLETE)
        await receive()
        await send({"type": "lifespan.shutdown.failed", "message": "cannot flush"})

    async def scene() -> None:
        await (await start_and_stop(app)).shutdown(5)

    run(scene())
    assert "cannot flush" in caplog.text


def test_an_exception_in_shutdown_is_logged(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(COMPLETE)
        await receive()
        raise LookupError("late")

    async def scene() -> None:
        await (await start_and_stop(app)).shutdown(5)

    run(scene())
    assert "LookupError: late" in caplog.text


def test_shutdown_is_bounded(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    cancelled: list[bool] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(COMPLETE)
        await receive()
        try:
            await receive()
        finally:
            cancelled.append(True)

    async def scene() -> None:
        await (await start_and_stop(app)).shutdown(0.01)

    run(scene())
    assert cancelled == [True]
    assert "took longer than 0.01 s" in caplog.text


def test_messages_out_of_order_are_named(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def refused(message: dict[str, str]) -> None:
            try:
                await send(message)
            except ValueError as error:
                seen.append(str(error))

        await refused(COMPLETE)
        await receive()
        await refused(STOPPED)
        await send(COMPLETE)
        await refused(COMPLETE)
        await receive()
        await send(STOPPED)

    async def scene() -> None:
        await (await start_and_stop(app)).shutdown(5)

    with caplog.at_level(logging.ERROR):
        run(scene())
    assert [text.split(",")[0] for text in seen] == [
        "lifespan expected nothing before receive()",
        "lifespan expected lifespan.startup.complete or lifespan.startup.failed",
        "lifespan expected nothing more in this phase",
    ]
    assert caplog.text == ""


@pytest.mark.parametrize("kind", ["lifespan.shutdown.complete", "lifespan.other", "lifespan."])
def test_a_wrong_word_of_the_lifespan_is_a_failure(run: Run, kind: str) -> None:
    """The application means lifespan, and not something else."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": kind})

    with pytest.raises(AppLoadError, match="raised ResponseError in its startup"):
        run(start_and_stop(app))


def test_where_a_life_ends(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(COMPLETE)
        await receive()
        await send(STOPPED)

    async def scene() -> None:
        lifespan = await start_and_stop(app)
        await lifespan.shutdown(5)
        assert lifespan.status == "off"
        await lifespan.shutdown(5)  # once more is no matter

    run(scene())
    assert caplog.text == ""


@pytest.mark.parametrize("error", [LookupError("fire"), asyncio.CancelledError()])
def test_an_end_before_the_start_is_told_once(
    run: Run, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        raise error

    with pytest.raises(AppLoadError):
        run(start_and_stop(app))
    assert "ended with an exception" not in caplog.text


def test_who_has_failed_may_clean_up(run: Run) -> None:
    cleaned: list[bool] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed"})
        for _ in range(5):
            await asyncio.sleep(0.001)
        cleaned.append(True)

    with pytest.raises(AppLoadError):
        run(start_and_stop(app))
    assert cleaned == [True]
