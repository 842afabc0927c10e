"""What the server counts, in Prometheus' text format."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """Counters of one server. Safe to share between threads."""

    def __init__(self) -> None:
        self._registry = own = CollectorRegistry()
        waited = "Seconds from the request to its answer, waiting included."
        self.requests = Counter("coderlplus_requests", "Requests answered.", ["route", "status"], registry=own)
        self.seconds = Histogram("coderlplus_request_seconds", waited, ["route"], buckets=_SECONDS, registry=own)
        self.endings = Counter("coderlplus_programs", "Programs run, by verdict or ending.", ["ending"], registry=own)
        self.in_flight = Gauge("coderlplus_in_flight", "Programs accepted and not yet answered.", registry=own)

    def text(self) -> bytes:
        return generate_latest(self._registry)
