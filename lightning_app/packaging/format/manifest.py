"""Package manifest (`manifest.json`): task, signature, metrics, lineage and file digests of a package."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, TypeAlias

from lightning_app.packaging.format.decision import PROBABILITIES, Decision, read_decision
from lightning_app.packaging.format.errors import PackageError
from lightning_app.packaging.format.fields import (
    exact_keys,
    file_name_field,
    is_number,
    is_whole,
    name_field,
    need,
    one_of,
    texts_field,
)
from lightning_app.packaging.format.node_ids import NodeIdSpec, read_node_id_spec
from lightning_app.packaging.format.raw_input import RawInputSpec, read_raw_input
from lightning_app.packaging.format.signature import StateSpec, TensorSpec, read_state, read_tensor
from lightning_app.packaging.format.strict_json import MAX_BYTES, read_json, write_json

SCHEMA_VERSION = 4
MANIFEST = "manifest.json"
FILES = ("model.onnx", "config.yaml", "MODEL_CARD.md", "reference.parquet", "evaluation.parquet", "golden.json")
"""Files of every package besides the manifest."""
TOKENIZER = "tokenizer.json"
LAYOUTS = ("rows", "graphs", "stream")

Layout: TypeAlias = Literal["rows", "graphs", "stream"]
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class FileEntry:
    """Size and digest of a file.

    Attributes:
        sha256: Digest in hexadecimal.
        bytes: Size in bytes.
    """

    sha256: str
    bytes: int


@dataclass(frozen=True)
class Manifest:
    """Everything known about a package; `docs/production.md` has an example.

    Attributes:
        name: Name of the experiment.
        family: Family of models, as its exporter names it.
        task: Task, as its exporter names it; packages of the same task can be compared.
        layout: What a row of a request is: a sample (`rows`), a graph (`graphs`), a chunk of a stream (`stream`).
        inputs: Inputs of the ONNX graph, without state.
        outputs: Outputs of the ONNX graph, without state.
        state: State that a stream carries from chunk to chunk.
        labels: Class names along the last axis of the output `probabilities`, if exactly one class holds.
        decisions: How names are answered where not the likeliest of `labels` is: at a threshold, several labels, or
            one class per head.
        tokenizer: `tokenizer.json` if the input is text.
        node_ids: Description of `node_ids.parquet` if requests name nodes by id; None if by node index.
        raw_input: Raw rows that the package answers; None if it takes nothing but the inputs of its graph.
        metrics: `split`, `protocol`, `rows`, `values` by metric, and `better` (lower or higher) by metric.
        slices: Slice name to slice value to `rows` and `error`.
        lineage: Data, code and run that the model was made from.
        parity: Difference between the outputs of package and checkpoint.
        latency: Latency measured at export.
        optimization: How the model was made smaller or faster, and the parent package; None for a plain export.
        card: Whether the model card is `complete`, and which sections are `missing`.
        files: All files but the manifest; filled in by the writer.
        schema_version: Version of this format.
    """

    name: str
    family: str
    task: str
    layout: Layout
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    metrics: Mapping[str, Any]
    slices: Mapping[str, Mapping[str, Mapping[str, Any]]]
    lineage: Mapping[str, Any]
    parity: Mapping[str, Any]
    latency: Mapping[str, Any]
    card: Mapping[str, Any]
    state: tuple[StateSpec, ...] = ()
    labels: tuple[str, ...] | None = None
    decisions: tuple[Decision, ...] = ()
    tokenizer: str | None = None
    node_ids: NodeIdSpec | None = None
    raw_input: RawInputSpec | None = None
    optimization: Mapping[str, Any] | None = None
    files: Mapping[str, FileEntry] | None = None
    schema_version: int = SCHEMA_VERSION

    @property
    def block(self) -> int:
        """Block length for intervals of the mean error: number of consecutive test rows whose errors are correlated."""
        if "block" in self.metrics:
            return int(self.metrics["block"])
        shape = self.outputs[0].shape
        # Manifests of these two tasks do not state it; windows less than a horizon apart overlap.
        if self.task in ("forecast", "trajectory") and len(shape) > 1 and isinstance(shape[1], int):
            return 2 * shape[1]
        return 1

    @property
    def all_decisions(self) -> tuple[Decision, ...]:
        """How names are answered, the likeliest of `labels` included."""
        if self.labels is None or any(one.output == PROBABILITIES for one in self.decisions):
            return self.decisions
        return (Decision(output=PROBABILITIES, labels=self.labels), *self.decisions)

    @property
    def evaluation_data(self) -> Any:
        """Fingerprint of the test data; old packages have one fingerprint for training and test data."""
        return self.lineage.get("evaluation_data", self.lineage.get("data"))

    @classmethod
    def read(cls, path: str | Path) -> "Manifest":
        """Reads and checks a manifest.

        Args:
            path: `manifest.json`, or its folder.

        Raises:
            PackageError: The file does not exist, has a newer schema, or is invalid.
        """
        file = Path(path)
        file = file / MANIFEST if file.is_dir() else file
        if not file.is_file():
            raise PackageError(f"package: {path} has no {MANIFEST}")
        with file.open("rb") as opened:
            return cls.from_json(opened.read(MAX_BYTES + 1))

    @classmethod
    def from_json(cls, content: bytes) -> "Manifest":
        """Parses and checks a manifest.

        Args:
            content: UTF-8 JSON.

        Raises:
            PackageError: The manifest has a newer schema, or is invalid.
        """
        parsed = read_json(content, name=MANIFEST)
        need(isinstance(parsed, dict), "manifest.json", "an object", parsed)
        version = parsed.get("schema_version")
        need(is_whole(version) and version >= 1, "schema_version", "a whole number from 1", version)
        if version > SCHEMA_VERSION:
            raise PackageError(
                f"schema_version: {version} given, this version of lightning-app reads up to {SCHEMA_VERSION}; "
                "upgrade lightning-r2p to read the package"
            )
        # Missing in schema 1, in 1 and 2, and in 1 to 3.
        parsed = {"node_ids": None, "raw_input": None, "decisions": [], **parsed}
        exact_keys(parsed, tuple(field.name for field in fields(cls)), "manifest.json")
        manifest = cls(
            **{
                **parsed,
                "inputs": _each(parsed["inputs"], "inputs", read_tensor),
                "outputs": _each(parsed["outputs"], "outputs", read_tensor),
                "state": _each(parsed["state"], "state", read_state),
                "labels": texts_field(parsed["labels"], "labels"),
                "decisions": _each(parsed["decisions"], "decisions", read_decision),
                "node_ids": read_node_id_spec(parsed["node_ids"]),
                "raw_input": read_raw_input(parsed["raw_input"]),
                "files": _files(parsed["files"]),
                "schema_version": SCHEMA_VERSION,
            }
        )
        manifest.check()
        return manifest

    def to_json(self) -> bytes:
        """Serializes to UTF-8 JSON with sorted keys: equal manifests give equal bytes."""
        return write_json(asdict(self))

    def check(self) -> None:
        """Raises `PackageError` unless the fields are consistent with each other."""
        name_field(self.name, "name")
        name_field(self.family, "family")
        name_field(self.task, "task")
        one_of(self.layout, LAYOUTS, "layout")
        need(self.tokenizer in (None, TOKENIZER), "tokenizer", f"null or {TOKENIZER!r}", self.tokenizer)
        names = [spec.name for spec in (*self.inputs, *self.outputs)]
        names += [name for state in self.state for name in (state.input, state.output)]
        twins = {name for name in names if names.count(name) > 1}
        need(not twins, "inputs, outputs and state", "a name of its own for each", sorted(twins))
        need(bool(self.inputs), "inputs", "at least one", [])
        need(bool(self.outputs), "outputs", "at least one", [])
        need(self.layout == "stream" or not self.state, "state", "none but for the layout stream", len(self.state))
        self._check_rows()
        self._check_padding()
        self._check_node_ids()
        if self.raw_input is not None and self.files is not None:
            for name in self.raw_input.all_files:
                need(name in self.files, "raw_input.files", "files of the package", name)
        if self.labels is not None:
            need(len(set(self.labels)) == len(self.labels) >= 2, "labels", "two or more different", list(self.labels))
            shapes = [spec.shape[1:] for spec in self.outputs if spec.name == PROBABILITIES]
            needed = f"an output {PROBABILITIES!r} with a number per label"
            need(shapes == [(len(self.labels),)], "labels", needed, [spec.name for spec in self.outputs])
        for decision in self.decisions:
            decision.check({spec.name: spec.shape[1:] for spec in self.outputs})
            own = self.labels if decision.output == PROBABILITIES and not decision.several else None
            need(own in (None, decision.labels), f"decisions.{decision.output}.labels", "those of `labels`", own)
        _check_records(self)

    def _check_rows(self) -> None:
        if self.layout == "graphs":
            return
        shapes = {spec.name: spec.shape for spec in (*self.inputs, *self.outputs)}
        for name, shape in {**shapes, **{state.input: state.shape for state in self.state}}.items():
            need(shape[:1] == ("batch",), f"shape of {name}", "'batch' first", list(shape))

    def _check_padding(self) -> None:
        padded = [spec for spec in self.inputs if spec.padding is not None]
        if not padded:
            return
        fits = self.layout == "rows" and len({spec.shape[1] for spec in padded}) == 1
        need(fits, "inputs", "padding of one axis, in the layout rows", [spec.name for spec in padded])

    def _check_node_ids(self) -> None:
        if self.node_ids is None:
            return
        if (model := (self.files or {}).get("model.onnx")) is not None:
            most = model.bytes  # the model holds at least one number per node
            need(self.node_ids.num_nodes <= most, "node_ids.num_nodes", f"at most {most:,}", self.node_ids.num_nodes)
        specs = {spec.name: spec for spec in self.inputs}
        for name in self.node_ids.inputs:
            spec = specs.get(name)
            fits = spec is not None and (spec.dtype, spec.shape) == ("int64", ("batch",))
            need(fits, "node_ids.inputs", "inputs of one int64 per row", name)
            assert spec is not None
            need(spec.num_values == self.node_ids.num_nodes, f"num_values of {name}", "num_nodes", spec.num_values)


def _check_records(manifest: Manifest) -> None:
    for key in ("metrics", "slices", "lineage", "parity", "latency", "card"):
        need(isinstance(getattr(manifest, key), Mapping), key, "an object", getattr(manifest, key))
    need(isinstance(manifest.optimization, Mapping | None), "optimization", "an object", manifest.optimization)
    values, better = manifest.metrics.get("values"), manifest.metrics.get("better")
    need(isinstance(values, Mapping), "metrics.values", "an object", values)
    need(isinstance(better, Mapping), "metrics.better", "an object", better)
    block = manifest.metrics.get("block", 1)
    need(is_whole(block) and block >= 1, "metrics.block", "a whole number from 1", block)
    assert isinstance(values, Mapping)
    assert isinstance(better, Mapping)
    for key, value in values.items():
        need(is_number(value), f"metrics.values.{key}", "a number", value)
        one_of(better.get(key), ("lower", "higher"), f"metrics.better.{key}")
    for name, slices in manifest.slices.items():
        need(isinstance(slices, Mapping), f"slices.{name}", "an object", slices)
        for value, slice_ in slices.items():
            key = f"slices.{name}.{value}"
            need(isinstance(slice_, Mapping), key, "an object", slice_)
            need(is_whole(slice_.get("rows")), f"{key}.rows", "a whole number", slice_.get("rows"))
            need(is_number(slice_.get("error")), f"{key}.error", "a number", slice_.get("error"))
    need(isinstance(manifest.card.get("complete"), bool), "card.complete", "true or false", manifest.card)
    texts_field(manifest.card.get("missing"), "card.missing")


def _files(content: Any) -> dict[str, FileEntry]:
    need(isinstance(content, dict), "files", "an object", content)
    entries = {}
    for name, entry in content.items():
        file_name_field(name, "files")
        need(name != MANIFEST, "files", "every file but the manifest itself", name)
        key = f"files.{name}"
        exact_keys(entry, ("sha256", "bytes"), key)
        sha256 = entry["sha256"]
        need(isinstance(sha256, str) and bool(_SHA256.fullmatch(sha256)), f"{key}.sha256", "64 hex digits", sha256)
        need(is_whole(entry["bytes"]) and entry["bytes"] >= 0, f"{key}.bytes", "a size", entry["bytes"])
        entries[name] = FileEntry(**entry)
    return entries


def _each(content: Any, key: str, read: Any) -> tuple[Any, ...]:
    need(isinstance(content, list), key, "a list", content)
    return tuple(read(item, f"{key}[{index}]") for index, item in enumerate(content))
