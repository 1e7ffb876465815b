"""Serving: requests per second, latency, CPU and memory, beside LitServe and plain FastAPI."""

from collections.abc import Callable

from benchmarks.serving.breaker import serving_breaker, serving_breaker_cost
from benchmarks.serving.grpc_speed import serving_grpc
from benchmarks.serving.monitoring import monitoring_cost
from benchmarks.serving.operation import serving_kills, serving_memory, serving_start
from benchmarks.serving.routing import serving_routing
from benchmarks.serving.soak import serving_soak
from benchmarks.serving.speed import serving_batching, serving_forecaster, serving_paced, serving_speed
from benchmarks.serving.streams import stream_kills, stream_speed

SECTIONS: dict[str, Callable[[], str]] = {
    "serving_speed": serving_speed,
    "serving_grpc": serving_grpc,
    "serving_paced": serving_paced,
    "serving_batching": serving_batching,
    "serving_forecaster": serving_forecaster,
    "serving_memory": serving_memory,
    "serving_start": serving_start,
    "serving_kills": serving_kills,
    "serving_routing": serving_routing,
    "monitoring_cost": monitoring_cost,
    "serving_soak": serving_soak,
    "stream_speed": stream_speed,
    "stream_kills": stream_kills,
    "serving_breaker": serving_breaker,
    "serving_breaker_cost": serving_breaker_cost,
}
