"""A server in words: what `status` prints and `top` redraws.

What lives here: numbers as people read them, and the lines of a screen of 80 columns. What must
not: where the numbers come from (views.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bare_serve.cli.verbs.views import View, WorkerView
from bare_serve.counts.numbers import BOUNDS
from bare_serve.counts.records import Event

WIDTH = 80


def span(seconds: float) -> str:
    """Return a duration in its two largest units: `3d4h`, `12m5s`, `8.1s`."""
    if seconds < 60:
        return f"{seconds:.1f}s" if seconds < 10 else f"{seconds:.0f}s"
    whole = int(seconds)
    for size, name, below, lower in (
        (86400, "d", 3600, "h"),
        (3600, "h", 60, "m"),
        (60, "m", 1, "s"),
    ):
        if whole >= size:
            rest = whole % size // below
            return f"{whole // size}{name}" + (f"{rest}{lower}" if rest else "")
    return "0s"


def brief(seconds: float | None) -> str:
    """Return how long answers take: `0.4ms`, `84ms`, `2.1s`; a dash for nothing."""
    if seconds is None:
        return "-"
    if seconds < 0.01:
        return f"{seconds * 1000:.1f}ms"
    return f"{seconds * 1000:.0f}ms" if seconds < 1 else f"{seconds:.1f}s"


def quick(seconds: float | None) -> str:
    """Return a quantile: below the first bound no more is known than that."""
    if seconds is not None and seconds < BOUNDS[0]:
        return f"<{BOUNDS[0] * 1000:.0f}ms"
    if seconds is not None and seconds >= BOUNDS[-1]:
        return f">{BOUNDS[-1]:.0f}s"
    return brief(seconds)


def size(count: float | None) -> str:
    """Return bytes: `512B`, `22M`, `1.4G`; a dash for nothing."""
    if count is None:
        return "-"
    for unit in ("B", "K", "M", "G"):
        if count < 1024:
            return f"{count:.1f}{unit}" if count < 10 and unit != "B" else f"{count:.0f}{unit}"
        count /= 1024
    return f"{count:.1f}T"


def rate(count: float | None) -> str:
    """Return how many a second."""
    if count is None:
        return "-"
    return f"{count:.1f}" if count < 10 else f"{count:.0f}"


def cut(line: str, width: int) -> str:
    """Return a line of no more than `width` characters."""
    return line if len(line) <= width else f"{line[: width - 1]}~"


def wrapped(words: Iterable[str], begin: str, width: int) -> list[str]:
    """Return words in lines, those after the first one indented as far as `begin` goes."""
    lines, line = [], begin
    for word in words:
        if len(line) + 1 + len(word) > width and line.strip() and line != begin:
            lines.append(line)
            line = " " * len(begin)
        line += f" {word}"
    return [*lines, line] if line != begin else lines


def columns(rows: Sequence[Sequence[str]], left: Sequence[int]) -> list[str]:
    """Return a table; columns in `left` begin at the left, others end at the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        " ".join(
            cell.ljust(width) if index in left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def summary(view: View) -> str:
    """Return a server in one line."""
    return (
        f"{view.target}  {view.serving} of {view.wanted} workers serve  pid {view.pid}  "
        f"up {span(view.uptime)}  {rate(view.requests_per_second)} req/s"
    )


def head(view: View, width: int) -> list[str]:
    """Return what is said of the server as a whole."""
    master = view.snapshot.master
    facts = master.facts
    said = f"{view.serving} of {view.wanted} workers serve"
    if view.in_process:
        said = "served in one process"
    state = "" if master.state == "serving" else f", {master.state}"
    kind = facts.get("interface", "")
    first = f"{view.target}  {kind}  {said}{state}  pid {view.pid}"
    up = f"up {span(view.uptime)}, generation {master.generation}"
    second = [up, f"bare-serve {facts.get('version', '?')}", *facts.get("addresses", ())]
    lines = [cut(first, width), *wrapped([f" {each}" for each in second], "", width)]
    lines[1:] = [line.strip() for line in lines[1:]]
    lines.append(cut(reload_line(view), width))
    if master.beat_for > 5:
        lines.append(f"the master has shown no sign of life for {span(master.beat_for)}")
    settings = [f"{name}={value}" for name, value in facts.get("settings", {}).items()]
    lines += [cut(line, width) for line in wrapped(settings, "settings", width)[:3]]
    lines += [cut(line, width) for line in totals(view)]
    return lines


def reload_line(view: View) -> str:
    """Return when and how the last reload ended."""
    master = view.snapshot.master
    if not master.last_reload:
        return "no reload so far"
    ago = span(max(0.0, view.snapshot.at - master.last_reload_at))
    why = next(
        (event.text for event in reversed(view.snapshot.history) if event.kind == "not reloaded"),
        "",
    )
    more = f": {why}" if master.last_reload == "not reloaded" and why else ""
    return f"{master.last_reload} {ago} ago{more}"


def totals(view: View) -> list[str]:
    """Return the sums over all workers, in two lines."""
    counters = view.counters
    classes = [
        f"{name} {each.answers}"
        for name, each in counters.durations.items()
        if each.answers or name in ("2xx", "5xx")
    ]
    refused = sum(counters.refused.values())
    first = (
        f"{rate(view.requests_per_second)} req/s  in flight {view.in_flight}  "
        f"p50 {quick(view.p50)}  p99 {quick(view.p99)}  connections {view.connections}"
    )
    if view.websockets:
        first += f"  websockets {view.websockets}"
    if view.queue:
        first += f"  queue {view.queue}"
    second = (
        f"since the start: {'  '.join(classes)}  refused {refused}  "
        f"in {size(counters.bytes_in)}  out {size(counters.bytes_out)}"
    )
    return [first, second]


_HEADS = (
    *("#", "pid", "state", "age", "requests", "req/s", "flight", "busy"),
    *("p50/p99", "PSS", "CPU", "sign"),
)


def table(view: View, width: int) -> list[str]:
    """Return a line for each worker, below their names."""
    rows = [_HEADS, *(_row(worker) for worker in view.workers)]
    return [cut(line, width) for line in columns(rows, left=(2,))]


def _row(worker: WorkerView) -> Sequence[str]:
    record = worker.record
    if record.threads_limit:
        busy = f"{record.threads_busy}/{record.threads_limit}"
    elif record.interface == "ASGI":
        busy = f"~{brief(record.loop_lag)}"
    else:
        busy = "-"
    return (
        str(record.number),
        str(worker.pid or record.pid),
        record.state,
        span(record.age),
        str(record.counters.requests),
        rate(worker.requests_per_second),
        str(record.in_flight),
        busy,
        f"{quick(worker.p50)}/{quick(worker.p99)}" if worker.p50 is not None else "-",
        size(worker.memory),
        "-" if worker.cpu is None else f"{worker.cpu * 100:.0f}%",
        "-" if record.silent_for is None else span(record.silent_for),
    )


def flight(view: View, width: int, most: int) -> list[str]:
    """Return the requests in flight, the oldest first."""
    rows = [("age", "#", "in flight")]
    for worker, request in view.flight[:most]:
        where = f"  {request.where}" if request.where else ""
        rows.append((span(request.age), str(worker.record.number), f"{request.request}{where}"))
    silent = [worker for worker in view.workers if worker.tells_nothing]
    for worker in silent:
        said = worker.record.doing or "it does not say"
        rows.append(("?", str(worker.record.number), f"{said} (bare-serve stacks shows more)"))
    if len(rows) == 1:
        return []
    lines = [cut(line, width) for line in columns(rows, left=(2,))]
    if len(view.flight) > most:
        lines.append(f"... and {len(view.flight) - most} more")
    return lines


def event_line(event: Event, now: float) -> str:
    """Return an event of the history."""
    who = f"worker {event.worker}" if event.worker else "server"
    what = event.kind.removeprefix("worker ")
    why = f" ({event.reason})" if event.reason else ""
    more = f": {event.text}" if event.text else ""
    pid = f", pid {event.pid}" if event.pid else ""
    return f"{span(max(0.0, now - event.at))} ago  {who}{pid}: {what}{why}{more}"


def recent_events(view: View, width: int, most: int) -> list[str]:
    """Return the last entries of the history that say of trouble or change, the newest first."""
    told = [
        event
        for event in view.snapshot.history
        if event.kind not in ("worker started", "worker ready", "started")
    ]
    return [cut(event_line(event, view.snapshot.at), width) for event in reversed(told[-most:])]
