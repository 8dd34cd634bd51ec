"""Metrics are read by Prometheus' own parser, bear its names, and are true."""

from __future__ import annotations

import json
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from bare_serve.counts import layout, numbers
from bare_serve.ops.listen_queues import Queue, look
from bare_serve.ops.metrics import MEDIA_TYPE, _escaped
from tests.ops.support import Ops, with_ops
from tests.support import RawClient, eventually

SITE = """
def app(environ, start_response):
    path, status = environ["PATH_INFO"], "200 OK"
    if path == "/missing":
        status = "404 Not Found"
    if path == "/boom":
        raise RuntimeError("boom")
    start_response(status, [("Content-Length", "10")])
    return [b"0123456789"]
"""


@pytest.fixture(scope="module")
def ops() -> Iterator[Ops]:
    with with_ops("--workers", "2", source=SITE) as running:
        running.all_serve()
        yield running


def read(ops: Ops) -> dict[str, Metric]:
    answer = ops.ask("/metrics")
    assert answer.status == 200
    assert answer.header("content-type") == MEDIA_TYPE.decode()
    return {each.name: each for each in text_string_to_metric_families(answer.body.decode())}


def value(found: dict[str, Metric], name: str, **labels: str) -> float:
    metric = found[f"bare_serve_{name}"]
    values = [
        sample.value
        for sample in metric.samples
        if not sample.name.endswith(("_bucket", "_sum", "_created"))
        and labels.items() <= sample.labels.items()
    ]
    return sum(values)


def test_numbers_are_those_of_the_clients(ops: Ops) -> None:
    before = read(ops)
    for target, count in (("/", 20), ("/missing", 5), ("/boom", 3)):
        for _ in range(count):
            with RawClient(ops.server.address) as client:
                client.request("GET", target)
    with RawClient(ops.server.address) as client:
        client.send(b"GET / HTTP/1.1\r\n\r\n")
        assert client.response().status == 400

    def risen(name: str, **labels: str) -> float:
        return value(read(ops), name, **labels) - value(before, name, **labels)

    eventually(lambda: risen("http_requests", code="2xx") == 20, "all requests")
    eventually(lambda: risen("http_requests", code="5xx") == 3, "all errors")
    assert risen("http_requests", code="4xx") in (5, 6)
    assert risen("http_request_duration_seconds", code="2xx") == 20
    assert risen("http_response_body_bytes") >= 250
    assert risen("http_refused", status="400") == 1


def test_names_are_as_prometheus_wants_them(ops: Ops) -> None:
    body = ops.ask("/metrics").body.decode()
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", body, re.MULTILINE))
    helps = dict(re.findall(r"^# HELP (\S+) (.+)$", body, re.MULTILINE))
    assert kinds.keys() == helps.keys()
    assert len(kinds) > 30
    for name, kind in kinds.items():
        assert re.fullmatch(r"bare_serve_[a-z0-9_]+", name)
        assert name.endswith("_total") is (kind == "counter")
        assert not re.search(r"_(milli|micro|ms|us|kib|mib|minutes|count|sum|bucket)\b", name)
        assert helps[name].endswith(".")
    assert body.endswith("\n")
    series = [line.rpartition(" ")[0] for line in body.splitlines() if not line.startswith("#")]
    assert len(series) == len({*series}), "each series once"
    assert "pid" not in body


def test_buckets_rise(ops: Ops) -> None:
    metric = read(ops)["bare_serve_http_request_duration_seconds"]
    for code in (name for name in numbers.CLASSES if name != "websocket"):
        mine = [each for each in metric.samples if each.labels.get("code") == code]
        counts = [each.value for each in mine if each.name.endswith("_bucket")]
        assert len(counts) == numbers.BUCKETS
        assert counts == sorted(counts)
        assert [each.value for each in mine if each.name.endswith("_count")] == [counts[-1]]


def test_workers_are_places_and_counters_outlive_them(ops: Ops) -> None:
    with RawClient(ops.server.address) as client:
        for _ in range(10):
            client.request()
    before = 0.0

    def counted() -> bool:
        nonlocal before
        now = value(read(ops), "http_requests")
        settled, before = now == before >= 10, now
        return settled

    eventually(counted, "numbers at rest")
    ops.server.send_signal(signal.SIGHUP)
    seen = []

    def renewed() -> bool:
        found = read(ops)
        seen.append(value(found, "http_requests"))
        return value(found, "reloads", result="reloaded") >= 1

    eventually(renewed, "a reload")
    eventually(lambda: len(ops.workers) == 2, "old workers gone")
    found = read(ops)
    assert seen == sorted(seen)
    assert value(found, "http_requests") >= before

    def places() -> set[str]:
        return {each.labels["worker"] for each in read(ops)["bare_serve_connections"].samples}

    eventually(lambda: {"bare_serve_connections"} <= read(ops).keys(), "gauges of new workers")
    eventually(lambda: places() == {"1", "2"}, "those of both")
    assert value(found, "workers", state="serving") == 2
    assert value(found, "worker_exits", reason="reload") >= 2
    assert value(found, "worker_memory_bytes") > 1 << 20


def test_status_says_the_same_and_nothing_of_requests(ops: Ops) -> None:
    answer = ops.ask("/status")
    assert answer.header("content-type") == "application/json"
    told = json.loads(answer.body)
    assert told["master"]["pid"] == ops.server.pid
    assert {each["number"] for each in told["workers"]} == {1, 2}
    assert all(each["flight"] is None and each["doing"] is None for each in told["workers"])
    assert "settings" not in told["master"]["facts"]
    assert told["counters"]["durations"].keys() == {*numbers.CLASSES}
    assert told["master"]["worker_exits"].keys() == {*layout.EXIT_REASONS}


def test_connections_that_wait_are_counted_by_the_kernel(ops: Ops) -> None:
    host, port = ops.server.address
    with socket.socket() as listener:
        listener.bind((host, 0))
        listener.listen(7)
        address = "{}:{}".format(*listener.getsockname())
        waiting = [socket.create_connection(listener.getsockname()) for _ in range(3)]
        try:
            found = look([f"https://{address} (redirects)", "unix:/x", "http://127.0.0.1:1"])
        finally:
            for each in waiting:
                each.close()
    if not found:
        pytest.skip("this kernel has no sock_diag")
    assert found == {address: Queue(3, 7)}
    told = read(ops)
    assert value(told, "listen_queue_limit", address=f"{host}:{port}") > 0
    assert value(told, "listen_queue", address=f"{host}:{port}") == 0


def test_labels_are_escaped() -> None:
    assert _escaped('a"b\\c\nd') == 'a\\"b\\\\c\\nd'


def test_who_is_exposed_shows_numbers_to_nobody_without_the_token(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.touch(0o600)
    token.write_text("a-token-of-some-length")
    with with_ops("--ops-token-file", str(token), ops="0.0.0.0:0") as ops:
        ops.all_serve()
        assert ops.ask("/metrics").status == 403
        assert ops.ask("/status").status == 403
        bearer = "Authorization: Bearer a-token-of-some-length"
        assert ops.ask("/metrics", bearer).status == 200
        told = json.loads(ops.ask("/status", bearer).body)
        assert told["workers"][0]["doing"] is not None
