"""PackageFacts: what the package of a served version says of its data, looked up once."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl
from msgspec import Struct

from features.contracts import Contract
from lightning_app.drift.reference import REFERENCE_FILE, SAMPLE_FILE, Reference
from lightning_app.errors import UsageError, describe
from lightning_app.monitoring.config.monitor_config import MonitoredModel
from lightning_app.monitoring.quality.model_facts import ModelFacts, model_facts
from lightning_app.packaging.format.errors import PackageError
from lightning_app.packaging.format.manifest import MANIFEST, Manifest
from lightning_app.packaging.runtime.package import Package
from lightning_app.registry import Registry
from lightning_app.registry.storage.errors import RegistryUnreachableError

_UNKNOWN = (
    "its package is not known, so that neither drift nor quality can be judged: name its folder with --package, or "
    "under `packages` in monitor.yaml"
)


class PackageFacts(Struct, frozen=True, kw_only=True):
    """What is known of a version.

    Attributes:
        quality: What its answers and outcomes are like.
        reference: What the package says of its held-out rows; None if it says nothing.
        sample: Some of these rows.
        contract: Data contract of its requests; None if it has none.
        reads: Columns of a request that the model reads; None if its package is not known.
        notes: What is missing, and why.
        is_final: Whether the next look at the package would say the same.
    """

    quality: ModelFacts = ModelFacts(form=None)
    reference: Reference | None = None
    sample: pl.DataFrame | None = None
    contract: Contract | None = None
    reads: frozenset[str] | None = None
    notes: tuple[str, ...] = ()
    is_final: bool = True


class PackageFinder:
    """Finds the packages of served versions, and keeps what they say.

    Args:
        registry: The registry.
        folders: Gives the folders of packages that may have been served from there.
    """

    def __init__(self, registry: Registry, folders: Callable[[], Sequence[Path]]) -> None:
        self._registry, self._folders = registry, folders
        self._known: dict[tuple[str, str], PackageFacts] = {}

    def find(self, model: MonitoredModel, version: int | None, digest: str) -> PackageFacts:
        """Facts of a version; what could not be read is tried again the next time.

        Args:
            model: How it is monitored.
            version: Number of the version; None for a folder.
            digest: Digest of the package that answered.

        Raises:
            UsageError: The contract or the reference that the configuration names cannot be read.
        """
        key = model.model, digest
        if key not in self._known:
            try:
                path = self._path(model.registered or model.model, version, digest)
            except (UsageError, PackageError, RegistryUnreachableError, OSError) as error:
                return _missing(f"its package cannot be found: {describe(error)}", error)
            if path is None:
                empty = [str(folder) for folder in self._folders() if _digest_of(folder) is None]
                return PackageFacts(notes=(_UNKNOWN + (f"; no package is in {', '.join(empty)}" if empty else ""),))
            try:
                self._known[key] = _facts(model, Package.load(path, replay=False), digest)
            except (PackageError, OSError) as error:
                return _missing(f"its package cannot be read: {describe(error)}", error)
        return self._known[key]

    def _path(self, name: str, version: int | None, digest: str) -> Path | None:
        if (folder := next((one for one in self._folders() if _digest_of(one) == digest), None)) is not None:
            return folder
        return None if version is None else self._registry.resolve(f"{name}@{version}").path


def _missing(note: str, error: Exception) -> PackageFacts:
    """Facts without a package; a registry or a disk that is away may be back the next time."""
    return PackageFacts(notes=(note,), is_final=not isinstance(error, (RegistryUnreachableError, OSError)))


def _facts(model: MonitoredModel, package: Package, digest: str) -> PackageFacts:
    if package.digest != digest:
        return PackageFacts(
            notes=(f"answered as {digest[:12]}, but the registry has {package.digest[:12]}: not judged",)
        )
    notes: list[str] = []
    reference, sample = package.drift_reference(), package.drift_sample()
    if model.reference is not None:
        reference, sample = _reference_folder(Path(model.reference))
    if reference is None:
        notes.append(
            "no drift reference in the package: export it again, or make one with `lightning-app monitor reference`"
        )
    contract = package.contract if model.contract is None else Contract.load(model.contract)
    manifest = package.manifest
    quality = model_facts(
        manifest.outputs, manifest.labels, reference=reference, sample=sample, settings=model.quality,
        slices=model.slices,
    )  # fmt: skip
    return PackageFacts(
        quality=quality, reference=reference, sample=sample, contract=contract, reads=_columns_read(manifest),
        notes=tuple(notes),
    )  # fmt: skip


def _columns_read(manifest: Manifest) -> frozenset[str]:
    """Columns of a request, as the journal's export names them."""
    if manifest.raw_input is None:
        return frozenset(name for one in manifest.inputs for name in one.columns or (one.name,))
    columns = manifest.raw_input.columns
    return frozenset(one.name if one.table is None else f"{one.table}.{one.name}" for one in columns)


def _reference_folder(folder: Path) -> tuple[Reference, pl.DataFrame | None]:
    sample = folder / SAMPLE_FILE
    try:
        reference = Reference.from_bytes((folder / REFERENCE_FILE).read_bytes())
        return reference, pl.read_parquet(sample) if sample.exists() else None
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        raise UsageError(f"reference: {folder} holds no drift reference that can be read: {error}") from error


def _digest_of(folder: Path) -> str | None:
    try:
        return hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()
    except OSError:
        return None
