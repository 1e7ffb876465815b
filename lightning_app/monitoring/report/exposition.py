"""Exposition of samples: the text that Prometheus reads at `/metrics`."""

from collections.abc import Iterable, Iterator, Sequence

from lightning_app.monitoring.report.metric_names import METRICS
from lightning_app.monitoring.report.structs import MetricSample

EXPOSED_PREFIX = "lightning_app_"
"""Of every metric of this program."""


def metrics_text(samples: Sequence[MetricSample]) -> bytes:
    """Samples in the text format of Prometheus 0.0.4; of two with the same name and labels, the later one.

    They have no times of their own: Prometheus would take old ones for missing.

    Args:
        samples: The samples.
    """
    from prometheus_client import generate_latest
    from prometheus_client.core import GaugeMetricFamily
    from prometheus_client.registry import Collector

    class Samples(Collector):
        def collect(self) -> Iterator[GaugeMetricFamily]:
            for name, metric in METRICS.items():
                latest = _latest(sample for sample in samples if sample.name == name)
                if not latest:
                    continue
                family = GaugeMetricFamily(EXPOSED_PREFIX + name, metric.help, labels=metric.labels)
                for sample in latest:
                    family.add_metric([sample.labels.get(label, "") for label in metric.labels], sample.value)
                yield family

    return bytes(generate_latest(Samples()))


def _latest(samples: Iterable[MetricSample]) -> list[MetricSample]:
    by_labels: dict[tuple[tuple[str, str], ...], MetricSample] = {}
    for sample in samples:
        key = tuple(sorted(sample.labels.items()))
        if key not in by_labels or by_labels[key].time <= sample.time:
            by_labels[key] = sample
    return list(by_labels.values())
