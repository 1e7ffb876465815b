"""Model card, `MODEL_CARD.md`: metadata in the format of Hugging Face, and a page about the model for its users."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from lightning_app.card_options import CardOptions
from lightning_app.packaging.export.evaluation_table import Interval
from lightning_app.packaging.format.manifest import Manifest, TensorSpec
from lightning_app.packaging.format.provenance import framework_text, repository_text
from lightning_app.packaging.format.raw_input import RawInputSpec, needed_rows

_SHOWN_COLUMNS = 12
_TO_WRITE = "*To be written: `card.{name}` in the config.*"


@dataclass(frozen=True)
class CardFacts:
    """What the card says beside the manifest.

    Attributes:
        pipeline_tag: What Hugging Face calls the task.
        model: Class of the model and its network.
        num_fitted: Fitted numbers of the model.
        interval: Of the mean error of a test row.
        error_name: Name of that error.
        row_name: Name of the rows, plural.
        block: Rows that were resampled together for the interval.
        limitations: Those that the exporter states.
        model_bytes: Size of the ONNX file.
        importance: Share of each column of the requests in the skill of the model, where it was measured.
        importance_rows: Rows that it was measured on.
        compared_with: What the answers of the package were compared with.
    """

    pipeline_tag: str
    model: str
    num_fitted: int
    interval: Interval
    error_name: str
    row_name: str
    block: int
    limitations: Sequence[str]
    model_bytes: int
    importance: Mapping[str, float] = field(default_factory=dict)
    importance_rows: int = 0
    compared_with: str = "its checkpoint"


def write_card(manifest: Manifest, facts: CardFacts, written: CardOptions) -> bytes:
    """The card of a package.

    Args:
        manifest: Its manifest; `files` are not looked at.
        facts: Facts beside the manifest.
        written: The sections that a person wrote.

    Returns:
        Markdown, UTF-8.
    """
    protocol = manifest.metrics["protocol"]
    sections = [
        _metadata(manifest, facts, written),
        f"# {manifest.name}",
        "## Model details",
        _details(manifest, facts),
        *(["## Raw rows", _raw_rows(manifest.raw_input)] if manifest.raw_input else []),
        "## Intended use",
        written.intended_use or _TO_WRITE.format(name="intended_use"),
        "## Out of scope",
        written.out_of_scope or _TO_WRITE.format(name="out_of_scope"),
        "## Data",
        _list({**{key: protocol[key] for key in ("data", "split") if key in protocol}, **_data(manifest)}),
        "## Evaluation",
        _evaluation(manifest, facts),
        "## Limitations",
        written.limitations or _TO_WRITE.format(name="limitations"),
        *(["\n".join(f"- {line}" for line in facts.limitations)] if facts.limitations else []),
        "## Ethical considerations",
        written.ethical_considerations or _TO_WRITE.format(name="ethical_considerations"),
        "## Environment",
        _environment(manifest),
    ]
    return ("\n\n".join(section.strip() for section in sections) + "\n").encode()


def _metadata(manifest: Manifest, facts: CardFacts, written: CardOptions) -> str:
    data = str(manifest.metrics["protocol"].get("data", manifest.lineage["data"].get("source", "data")))
    name = data.split(",")[0]
    metrics = [
        {"type": key.split("/", 1)[-1], "name": key, "value": value}
        for key, value in manifest.metrics["values"].items()
    ]
    block: dict[str, Any] = {
        **({"license": written.license} if written.license else {}),
        "library_name": "onnx",
        "pipeline_tag": facts.pipeline_tag,
        "tags": ["onnx", manifest.family, manifest.task],
        "model-index": [
            {
                "name": manifest.name,
                "results": [
                    {
                        "task": {"type": facts.pipeline_tag, "name": manifest.task.replace("_", " ")},
                        "dataset": {"type": name, "name": data, "split": manifest.metrics["split"]},
                        "metrics": metrics,
                    }
                ],
            }
        ],
    }
    return f"---\n{yaml.safe_dump(block, sort_keys=False, allow_unicode=True)}---"


def _details(manifest: Manifest, facts: CardFacts) -> str:
    lineage = manifest.lineage
    return _list(
        {
            "model": f"{facts.model}, {facts.num_fitted:,} fitted numbers",
            "task": manifest.task.replace("_", " "),
            "takes": "; ".join(_signature(spec) for spec in manifest.inputs),
            "answers": "; ".join(_signature(spec) for spec in manifest.outputs),
            **{
                f"decides {decision.prefix.rstrip('.')}".rstrip(): decision.describe()
                for decision in manifest.decisions
            },
            **({"carries": f"{len(manifest.state)} state tensors from chunk to chunk"} if manifest.state else {}),
            "size": f"{facts.model_bytes / 1e6:.2f} MB",
            "latency": ", ".join(
                f"{value:g} ms for a batch of {size}" for size, value in manifest.latency["p50_ms"].items()
            )
            + f" (median, {manifest.latency['threads']} thread, {manifest.latency['machine']})",
            "trained": lineage.get("trained") or "unknown",
            "exported": lineage["created"],
            "repository": repository_text(lineage),
            "lightning-r2p": framework_text(lineage),
            "seed": ", ".join(map(str, lineage["seeds"])),
        }
    )


def _raw_rows(raw_input: RawInputSpec) -> str:
    lines = [
        f"A table with these columns, at least {needed_rows(raw_input)}; `Package.predict` and `lightning-app score` "
        f"take it as it is, and prepare it as training did (`{raw_input.file}`).",
        "",
        "| column | type | role | unit or format | needed |",
        "|---|---|---|---|---|",
    ]
    for column in raw_input.columns:
        name = column.name.replace("|", "\\|") + ("" if column.table is None else f" (table {column.table})")
        needed = "yes" if column.required else "no"
        lines.append(f"| {name} | {column.type} | {column.role} | {column.unit or ''} | {needed} |")
    if raw_input.stored_views:
        views = ", ".join(f"`{view}`" for view in raw_input.stored_views)
        lines += [
            "",
            f"The history (views {views}) can come from an online store (`lightning-app score --store URL --at TIME`, "
            "`Package.with_store`): rows then need no columns of role `history`, no events before them, and no further "
            "tables.",
        ]
    return "\n".join(lines)


def _signature(spec: TensorSpec) -> str:
    unit = f", {spec.unit}" if spec.unit else ""
    columns = f", of {', '.join(spec.columns[:12])}{' ...' if len(spec.columns) > 12 else ''}" if spec.columns else ""
    levels = f", quantiles {', '.join(f'{level:g}' for level in spec.levels)}" if spec.levels else ""
    return f"`{spec.name}` {spec.dtype} ({', '.join(map(str, spec.shape))}){unit}{columns}{levels}"


def _data(manifest: Manifest) -> dict[str, Any]:
    data = manifest.lineage["data"]
    shown = {name: data[name] for name in ("source", "rows", "period", "sha256") if name in data}
    if isinstance(shown.get("period"), list):
        shown["period"] = f"{shown['period'][0]} to {shown['period'][-1]}"
    if isinstance(shown.get("sha256"), Mapping):
        shown["sha256"] = ", ".join(f"{name} {digest}" for name, digest in shown["sha256"].items())
    if "sha256" in shown:
        shown["fingerprint"] = f"sha256 {shown.pop('sha256')}"
    for version in manifest.lineage.get("data_versions", ()):
        named = f"snapshot {version['snapshot']}" if "snapshot" in version else f"version {version['delta_version']}"
        shown[f"`{version['name']}`"] = named
    return shown


def _evaluation(manifest: Manifest, facts: CardFacts) -> str:
    metrics, parity = manifest.metrics, manifest.parity
    protocol = {key: value for key, value in metrics["protocol"].items() if key not in ("data", "split")}
    interval = facts.interval
    lines = [
        f"On the {metrics['split']} split, {metrics['rows']:,} {facts.row_name}.",
        "",
        *_list(protocol).splitlines(),
        *(f"- **{difference}**" for difference in manifest.lineage.get("differences", ())),
        "",
        "| metric | value | better |",
        "|---|---|---|",
        *(f"| {name} | {value:.6g} | {metrics['better'][name]} |" for name, value in metrics["values"].items()),
        "",
        f"Mean error ({facts.error_name}): {interval.mean:.6g}, 95 % interval {_between(interval)} "
        f"({_bootstrap(facts)}).",
        "",
        f"The package and {facts.compared_with} were compared on {parity['rows']:,} {facts.row_name}, in batches of "
        f"{', '.join(map(str, (*parity['batch_sizes'], *parity['unseen_sizes'])))}: largest difference "
        f"{parity['max_relative_error']:.1e} of the largest number.",
        *_raw_parity(parity),
    ]
    lines += _importance(facts.importance, facts.importance_rows)
    for name, values in manifest.slices.items():
        lines += ["", f"By {name}:", "", f"| {name} | {facts.row_name} | mean error |", "|---|---|---|"]
        lines += [f"| {value} | {slice_['rows']:,} | {slice_['error']:.6g} |" for value, slice_ in values.items()]
    return "\n".join(lines)


def _raw_parity(parity: Mapping[str, Any]) -> list[str]:
    if (raw_rows := parity.get("raw_rows")) is None:
        return []
    return [
        "",
        f"From raw rows, package and data module with checkpoint were compared on {raw_rows['rows']:,} rows of the "
        f"test: largest difference {raw_rows['max_relative_error']:.1e} of the largest number.",
    ]


def _importance(importance: Mapping[str, float], num_rows: int) -> list[str]:
    if not importance:
        return []
    ranked = sorted(importance.items(), key=lambda item: -item[1])
    more = f", the first {_SHOWN_COLUMNS} of {len(ranked)}" if len(ranked) > _SHOWN_COLUMNS else ""
    return [
        "",
        f"Importance of the columns of a request{more}: how much of the growth of the error is due to each, if its "
        f"values are shuffled among {num_rows:,} test rows.",
        "",
        "| column | importance |",
        "|---|---|",
        *(f"| {name} | {share:.1%} |" for name, share in ranked[:_SHOWN_COLUMNS]),
    ]


def _between(interval: Interval) -> str:
    if not math.isfinite(interval.high):
        return "unknown: too few rows"
    return f"{interval.low:.6g} to {interval.high:.6g}"


def _bootstrap(facts: CardFacts) -> str:
    if facts.block == 1:
        return f"bootstrap of single {facts.row_name}"
    return f"moving-block bootstrap, {facts.block} {facts.row_name} at a time"


def _environment(manifest: Manifest) -> str:
    lineage = manifest.lineage
    versions = {name: version for name, version in lineage["versions"].items() if version}
    lock = {"lock file": f"sha256 {lineage['lock_sha256']}"} if lineage["lock_sha256"] else {}
    return _list({**versions, "platform": lineage["platform"], **lock, "config": f"sha256 {lineage['config_sha256']}"})


def _list(values: Mapping[str, Any]) -> str:
    return "\n".join(f"- {name}: {value}" for name, value in values.items())
