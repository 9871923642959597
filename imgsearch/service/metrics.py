"""Prometheus counters and timings of the service."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from imgsearch.service.workers import Workers

# seconds, from a cached response to a slow upload
_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """Prometheus metrics in their own registry, so that several services can share a process."""

    media_type: Final = CONTENT_TYPE_LATEST

    def __init__(self, *workers: Workers) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "imgsearch_requests",
            "Requests by route, method and status.",
            ("route", "method", "status"),
            registry=self.registry,
        )
        self.seconds = Histogram(
            "imgsearch_request_seconds",
            "Time from a request to the end of its response.",
            ("route",),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._stages = Histogram(
            "imgsearch_stage_seconds",
            "Time of one stage of the work.",
            ("stage",),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.images = Counter(
            "imgsearch_images",
            "Images by outcome: new, updated, known, failed or deleted.",
            ("outcome",),
            registry=self.registry,
        )
        running = Gauge("imgsearch_running", "Additions and searches now.", registry=self.registry)
        running.set_function(lambda: sum(pool.running for pool in workers))
        waiting = Gauge("imgsearch_waiting", "Requests that wait now.", registry=self.registry)
        waiting.set_function(lambda: sum(pool.waiting for pool in workers))

    @contextmanager
    def stage(self, name: str, took: dict[str, float] | None = None) -> Iterator[None]:
        """Time the block as stage `name`, and add its milliseconds to `took`."""
        start = monotonic()
        try:
            yield
        finally:
            self.note(name, monotonic() - start, took)

    def note(self, name: str, seconds: float, took: dict[str, float] | None = None) -> None:
        """Record a stage's duration in seconds, and add its milliseconds to `took`."""
        self._stages.labels(name).observe(seconds)
        if took is not None:
            took[name] = round(took.get(name, 0.0) + seconds * 1000, 3)

    def text(self) -> bytes:
        """Return all metrics in Prometheus text format."""
        return generate_latest(self.registry)


class Measured:
    """ASGI middleware that counts and times requests by route."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status = monotonic(), 500

        async def send_noted(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self._app(scope, receive, send_noted)
        finally:
            # unmatched paths share the label "other": otherwise the number of labels has no limit
            route = getattr(scope.get("route"), "path", "") or "other"
            method = scope["method"] if route != "other" else "any"
            self._metrics.requests.labels(route, method, str(status)).inc()
            self._metrics.seconds.labels(route).observe(monotonic() - start)
