"""What a package and its card say of an optimisation."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from lightning_app.packaging import Package
from lightning_app.packaging.format.manifest import Manifest
from lightning_app.packaging.optimize.gates import NOISE, Accuracy, Latency, as_percent

_WHAT = {
    "int8": "8-bit weights, activations scaled call by call",
    "fp16": "16-bit weights, computed with in 32 bits",
    "pruned": "fewer hidden features and attention heads, trained on",
}


@dataclass(frozen=True)
class Change:
    """How a variant differs from its parent.

    Attributes:
        kind: What was done.
        parent: The package before.
        accuracy: Of the test errors.
        latency: Of both.
        max_worse: The bound of the accuracy gate.
        model_bytes: Of the ONNX file after.
        settings: Of the kind.
    """

    kind: str
    parent: Package
    accuracy: Accuracy
    latency: Latency
    max_worse: float
    model_bytes: int
    settings: Mapping[str, Any]

    @property
    def model_bytes_before(self) -> int:
        """Of the parent's ONNX file."""
        files = self.parent.manifest.files
        assert files is not None
        return files["model.onnx"].bytes

    def record(self, manifest: Manifest) -> dict[str, Any]:
        """`optimization` of the manifest.

        Args:
            manifest: Of the variant, measured.
        """
        accuracy = {name: _finite(value) for name, value in asdict(self.accuracy).items()}
        return {
            "kind": self.kind,
            "parent": self.parent.digest,
            "parent_name": self.parent.manifest.name,
            "accuracy": {**accuracy, "confidence": 0.95, "max_worse": _finite(self.max_worse)},
            "latency_p50_ms": {
                "before": dict(self.latency.before),
                "after": dict(self.latency.after),
                "max_slower": NOISE,
                "attempts": self.latency.attempts,
            },
            "model_bytes": {"before": self.model_bytes_before, "after": self.model_bytes},
            "metrics": {
                "before": dict(self.parent.manifest.metrics["values"]),
                "after": dict(manifest.metrics["values"]),
            },
            **self.settings,
        }

    def section(self, manifest: Manifest) -> str:
        """Section of the card.

        Args:
            manifest: Of the variant, measured.
        """
        before, after = self.parent.manifest.metrics["values"], manifest.metrics["values"]
        settings = "".join(f"- {name.replace('_', ' ')}: {value}\n" for name, value in self.settings.items())
        rows = [
            ("size", f"{self.model_bytes_before / 1e6:.2f} MB", f"{self.model_bytes / 1e6:.2f} MB"),
            *(
                (f"median of a call, batch of {size}", f"{median:g} ms", f"{self.latency.after[size]:g} ms")
                for size, median in self.latency.before.items()
            ),
            *((name, f"{value:.6g}", f"{after[name]:.6g}") for name, value in before.items() if name in after),
        ]
        table = "\n".join(f"| {name} | {one} | {other} |" for name, one, other in rows)
        bounded = math.isfinite(self.max_worse)
        allowed = f"at most {as_percent(self.max_worse)} was allowed" if bounded else "any change was allowed"
        return (
            f"## Optimisation\n\n- {self.kind}: {_WHAT[self.kind]}\n- made from: `{self.parent.manifest.name}`, sha256 "
            f"{self.parent.digest}\n{settings}\n| | before | after |\n|---|---|---|\n{table}\n\n"
            f"Accuracy: {self.accuracy}; {allowed}. "
            f"Times are of one thread, both packages asked in turns, from measurement {self.latency.attempts} (what "
            f"looks slower is measured again); up to {NOISE:.0%} more does not count as slower.\n"
        )


def print_change(optimization: Mapping[str, Any]) -> None:
    """Prints what an optimisation came to.

    Args:
        optimization: Of a manifest.
    """
    sizes, times = optimization["model_bytes"], optimization["latency_p50_ms"]
    accuracy = optimization["accuracy"]
    print(f"size: {sizes['before'] / 1e6:.2f} MB -> {sizes['after'] / 1e6:.2f} MB")  # noqa: T201
    for size, before in times["before"].items():
        print(f"median of a call, batch of {size}: {before:g} ms -> {times['after'][size]:g} ms")  # noqa: T201
    if accuracy["worse"] is None:
        print("test error: the parent makes none, the variant does")  # noqa: T201
    else:
        high = "unknown" if accuracy["high"] is None else as_percent(accuracy["high"])
        print(f"test error: {as_percent(accuracy['worse'])}, upper end of the interval {high}")  # noqa: T201


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
