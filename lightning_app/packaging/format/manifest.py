"""Manifest of a package, `manifest.json`: what it is, what it takes, what it answers, what it was made from."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, TypeAlias

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
from lightning_app.packaging.format.signature import StateSpec, TensorSpec, read_state, read_tensor
from lightning_app.packaging.format.strict_json import MAX_BYTES, read_json, write_json

SCHEMA_VERSION = 2
MANIFEST = "manifest.json"
FILES = ("model.onnx", "config.yaml", "MODEL_CARD.md", "reference.parquet", "evaluation.parquet", "golden.json")
"""Files of every package, beside the manifest."""
TOKENIZER = "tokenizer.json"
LAYOUTS = ("rows", "graphs", "stream")
PROBABILITIES = "probabilities"
"""The output that labels belong to."""

Layout: TypeAlias = Literal["rows", "graphs", "stream"]
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class FileEntry:
    """A file as it was written.

    Attributes:
        sha256: Of its bytes, in hexadecimal.
        bytes: Its size.
    """

    sha256: str
    bytes: int


@dataclass(frozen=True)
class Manifest:
    """All that is known of a package; `docs/production.md` has an example.

    Attributes:
        name: Name of the experiment.
        family: Of models, as its exporter names it.
        task: What it does, as its exporter names it; packages of one task can be compared.
        layout: What a row of a table is: a sample (`rows`), a graph (`graphs`), a chunk of a stream (`stream`).
        inputs: What the graph takes, without state.
        outputs: What it returns, without state.
        state: What a stream carries.
        labels: Name of each class, along the last axis of the output `probabilities`.
        tokenizer: `tokenizer.json` where the input is text.
        node_ids: Where nodes are asked by the ids of the user's graph, in `node_ids.parquet`; None where by number.
        metrics: `split`, `protocol`, `rows`, `values` by name, and for each value which is `better`.
        slices: By name and value of a slice: `rows` and `error`.
        lineage: What the model was made from.
        parity: How far the package and its checkpoint were apart.
        latency: Measured at export.
        optimization: What was done to make it smaller or faster, and to which package; None if nothing was.
        card: Whether the model card is `complete`, and what is `missing`.
        files: Every file of the folder but the manifest; the writer fills it.
        schema_version: Of this format.
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
    tokenizer: str | None = None
    node_ids: NodeIdSpec | None = None
    optimization: Mapping[str, Any] | None = None
    files: Mapping[str, FileEntry] | None = None
    schema_version: int = SCHEMA_VERSION

    @property
    def block(self) -> int:
        """Neighbouring test rows whose errors are correlated, for intervals of their mean."""
        if "block" in self.metrics:
            return int(self.metrics["block"])
        shape = self.outputs[0].shape
        # Manifests of these two tasks do not state it: windows overlap where they share rows of the horizon.
        if self.task in ("forecast", "trajectory") and len(shape) > 1 and isinstance(shape[1], int):
            return 2 * shape[1]
        return 1

    @property
    def evaluation_data(self) -> Any:
        """Fingerprint of the data that it was tested on; packages from before it was kept apart have one for both."""
        return self.lineage.get("evaluation_data", self.lineage.get("data"))

    @classmethod
    def read(cls, path: str | Path) -> "Manifest":
        """Reads and checks a manifest.

        Args:
            path: `manifest.json`, or the folder that it lies in.

        Raises:
            PackageError: It is not there, of a newer schema, or anything in it is not as it must be.
        """
        file = Path(path)
        file = file / MANIFEST if file.is_dir() else file
        if not file.is_file():
            raise PackageError(f"package: {path} has no {MANIFEST}")
        with file.open("rb") as opened:
            return cls.from_json(opened.read(MAX_BYTES + 1))

    @classmethod
    def from_json(cls, content: bytes) -> "Manifest":
        """Checks the bytes of a manifest.

        Args:
            content: UTF-8 JSON.

        Raises:
            PackageError: Of a newer schema, or anything in it is not as it must be.
        """
        given = read_json(content, name=MANIFEST)
        need(isinstance(given, dict), "manifest.json", "an object", given)
        version = given.get("schema_version")
        need(is_whole(version) and version >= 1, "schema_version", "a whole number from 1", version)
        if version > SCHEMA_VERSION:
            raise PackageError(
                f"schema_version: {version} given, this version of lightning-app reads up to {SCHEMA_VERSION}; "
                "upgrade lightning-r2p to read the package"
            )
        given = {"node_ids": None, **given}  # which manifests of schema 1 do not have
        exact_keys(given, tuple(field.name for field in fields(cls)), "manifest.json")
        manifest = cls(
            **{
                **given,
                "inputs": _each(given["inputs"], "inputs", read_tensor),
                "outputs": _each(given["outputs"], "outputs", read_tensor),
                "state": _each(given["state"], "state", read_state),
                "labels": texts_field(given["labels"], "labels"),
                "node_ids": read_node_id_spec(given["node_ids"]),
                "files": _files(given["files"]),
                "schema_version": SCHEMA_VERSION,
            }
        )
        manifest.check()
        return manifest

    def to_json(self) -> bytes:
        """UTF-8 JSON with sorted keys: the same manifest, the same bytes."""
        return write_json(asdict(self))

    def check(self) -> None:
        """Raises `PackageError` unless what is stated fits together."""
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
        self._check_node_ids()
        if self.labels is not None:
            need(len(set(self.labels)) == len(self.labels) >= 2, "labels", "two or more different", list(self.labels))
            shapes = [spec.shape[1:] for spec in self.outputs if spec.name == PROBABILITIES]
            wanted = f"an output {PROBABILITIES!r} with a number per label"
            need(shapes == [(len(self.labels),)], "labels", wanted, [spec.name for spec in self.outputs])
        _check_records(self)

    def _check_rows(self) -> None:
        if self.layout == "graphs":
            return
        shapes = {spec.name: spec.shape for spec in (*self.inputs, *self.outputs)}
        for name, shape in {**shapes, **{state.input: state.shape for state in self.state}}.items():
            need(shape[:1] == ("batch",), f"shape of {name}", "'batch' first", list(shape))

    def _check_node_ids(self) -> None:
        if self.node_ids is None:
            return
        if (model := (self.files or {}).get("model.onnx")) is not None:
            most = model.bytes  # it holds a number or more of each node
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


def _files(given: Any) -> dict[str, FileEntry]:
    need(isinstance(given, dict), "files", "an object", given)
    found = {}
    for name, entry in given.items():
        file_name_field(name, "files")
        need(name != MANIFEST, "files", "every file but the manifest itself", name)
        key = f"files.{name}"
        exact_keys(entry, ("sha256", "bytes"), key)
        sha256 = entry["sha256"]
        need(isinstance(sha256, str) and bool(_SHA256.fullmatch(sha256)), f"{key}.sha256", "64 hex digits", sha256)
        need(is_whole(entry["bytes"]) and entry["bytes"] >= 0, f"{key}.bytes", "a size", entry["bytes"])
        found[name] = FileEntry(**entry)
    return found


def _each(given: Any, key: str, read: Any) -> tuple[Any, ...]:
    need(isinstance(given, list), key, "a list", given)
    return tuple(read(item, f"{key}[{index}]") for index, item in enumerate(given))
