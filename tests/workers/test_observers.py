"""Who is told of a worker's answers, by its options."""

from __future__ import annotations

import os
from pathlib import Path

from bare_serve.logs.access_log import AccessLog
from bare_serve.logs.sinks import FileSink
from bare_serve.workers.observers import answer_observer
from bare_serve.workers.options import ServeOptions
from tests.support.answers import Answer, request


def test_nobody_without_an_access_log() -> None:
    assert answer_observer(ServeOptions()) is None


def test_the_access_log_itself(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = AccessLog(FileSink.at(os.fspath(path)))
    observer = answer_observer(ServeOptions(access_log=log))
    assert observer == log.record, "nothing is in between"
    observer("192.0.2.1", request(b"/a"), Answer(204, 7), 0.25, "a note")
    log.close()
    assert path.read_text().endswith(" 192.0.2.1 GET /a HTTP/1.1 204 7 250.00ms a note\n")
