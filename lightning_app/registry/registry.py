"""Versions of models: registered, found, promoted, rolled back."""

import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lightning_app.errors import UsageError
from lightning_app.packaging.format.errors import PackageError
from lightning_app.packaging.format.folder import read_folder
from lightning_app.packaging.format.manifest import MANIFEST, Manifest
from lightning_app.packaging.runtime.package import Package
from lightning_app.registry.access import RegistryAccess, what_is
from lightning_app.registry.promotion.comparison import Candidate
from lightning_app.registry.promotion.gate_file import GateFile
from lightning_app.registry.promotion.journal import Journal, State
from lightning_app.registry.promotion.promote import Promotion, promote_version
from lightning_app.registry.promotion.rollback import Rollback, roll_back, roll_back_here
from lightning_app.registry.storage.address import RegistryAddress
from lightning_app.registry.storage.cache import Cache, Snapshot
from lightning_app.registry.storage.errors import RegistryUnreachableError
from lightning_app.registry.storage.lock import changing
from lightning_app.registry.storage.mlflow_model import PACKAGE_FOLDER, write_mlflow_model
from lightning_app.registry.storage.reference import check_name, read_reference
from lightning_app.registry.storage.version_record import VersionRecord

_log = logging.getLogger("lightning_app.registry")
_REGISTER_WAIT = 600.0


@dataclass(frozen=True)
class ResolvedModel:
    """A version whose package lies here, verified.

    Attributes:
        name: Name of the model.
        version: Number of the version; None for a folder that is no registry's.
        path: Folder of the package.
        aliases: That the version has.
        digest: Of the package, as the registry states it; None for a folder that is no registry's.
    """

    name: str
    version: int | None
    path: Path
    aliases: tuple[str, ...]
    digest: str | None = None


@dataclass(frozen=True)
class Version:
    """A registered version, and what it is at the moment.

    Attributes:
        record: What was registered.
        aliases: That it has.
    """

    record: VersionRecord
    aliases: tuple[str, ...]


class Registry:
    """Models of one registry.

    Args:
        uri: Where it is; None takes `$MLFLOW_TRACKING_URI`, else `sqlite:///mlflow.db` in the current folder.
        cache: Folder of local copies; None takes `$LIGHTNING_APP_CACHE`, else `~/.cache/lightning-app`.
    """

    def __init__(self, uri: str | None = None, *, cache: Path | None = None) -> None:
        self.address = RegistryAddress.find(uri)
        self._access = RegistryAccess(self.address, Cache(self.address, cache))

    def register(self, path: str | Path, name: str | None = None, *, artifacts: str | None = None) -> int:
        """Makes a version of a package; the same package is the same version, however often it is registered.

        If the files of that version are gone meanwhile, they are put back.

        Args:
            path: Folder of the package.
            name: Name of the model; None takes that of the manifest.
            artifacts: Where a registry without packages is to keep them, a folder or a URI; None takes the place beside
                a sqlite file, that of the server, or `$MLFLOW_DEFAULT_ARTIFACT_ROOT`.

        Returns:
            Number of the version.

        Raises:
            PackageError: The folder is no package, or does not answer as it should.
            RegistryUnreachableError: The registry is not there.
            UsageError: Nobody said where packages go, or that place cannot be seen from here.
        """
        package = Package.load(path)
        name = package.manifest.name if name is None else name
        check_name(name)
        with changing(self._access.lock_folder, f"{name}.register", wait=_REGISTER_WAIT):
            store = self._access.store(create=True)
            store.ensure_root(artifacts)
            known = next((record for record in store.versions(name) if record.digest == package.digest), None)
            sizes = {file: entry.bytes for file, entry in (package.manifest.files or {}).items()}
            sizes[MANIFEST] = (package.path / MANIFEST).stat().st_size
            if known is not None and not store.lacks_files(known, sizes):
                return known.number
            with tempfile.TemporaryDirectory() as scratch:
                folder = Path(scratch) / "model"
                write_mlflow_model(package.path, package.manifest, folder)
                if read_folder(folder / PACKAGE_FOLDER, keep=())[1] != package.digest:
                    raise PackageError(f"package: {path} was replaced by another while it was registered")
                if known is not None:
                    store.restore_files(known, folder)
                    _log.warning(
                        "the files of %s@%s were gone from the registry, and were put back", name, known.number
                    )
                    return known.number
                number = store.add_version(
                    name,
                    folder,
                    digest=package.digest,
                    family=package.manifest.family,
                    task=package.manifest.task,
                    metrics=package.manifest.metrics["values"],
                    card=(folder / PACKAGE_FOLDER / "MODEL_CARD.md").read_text(encoding="utf-8"),
                )
            self._access.ask(name)
        return number

    def resolve(self, model: str) -> ResolvedModel:
        """Finds a version and brings its package here.

        If the registry does not answer, what it said last holds, and packages that are here already.

        Args:
            model: `NAME@champion`, `NAME@3`, `NAME` for its champion, or the folder of a package.

        Raises:
            UsageError: There is no such version.
            RegistryUnreachableError: The registry does not answer, and nothing is known here.
        """
        if (Path(model) / MANIFEST).is_file():
            return ResolvedModel(Manifest.read(model).name, None, Path(model), ())
        reference = read_reference(model)
        name = reference.name
        try:
            snapshot = self._access.ask(name)
        except RegistryUnreachableError as error:
            snapshot = self._access.last_known(name, error)
        number = reference.version or snapshot.aliases.get(reference.alias or "")
        if number is None:
            known = ", ".join(f"{alias} {number}" for alias, number in sorted(snapshot.aliases.items()))
            raise UsageError(f"model: {reference} given, {what_is(name, snapshot)}; aliases: {known or 'none'}")
        path = self._access.fetch(name, number, snapshot)
        if reference.alias == "champion" and "previous" in snapshot.aliases:
            self._access.fetch_previous(name, snapshot)
        aliases = tuple(sorted(alias for alias, version in snapshot.aliases.items() if version == number))
        return ResolvedModel(name, number, path, aliases, snapshot.digests[number])

    def versions(self, name: str) -> list[Version]:
        """Versions of a model, oldest first.

        Args:
            name: Name of the model.

        Raises:
            UsageError: There is no such model.
            RegistryUnreachableError: The registry does not answer.
        """
        check_name(name)
        self._access.ask(name)
        store = self._access.store()
        aliases, records = store.aliases(name), store.versions(name)
        if not records:
            raise UsageError(f"name: there is no model {name!r}; there are: {', '.join(store.names()) or 'none'}")
        return [
            Version(record, tuple(sorted(alias for alias, number in aliases.items() if number == record.number)))
            for record in records
        ]

    def names(self) -> list[str]:
        """Names of all models.

        Raises:
            RegistryUnreachableError: The registry does not answer.
        """
        return self._access.store().names()

    def history(self, name: str) -> State:
        """The journal of a model: who changed what, when, and what the gates said.

        Args:
            name: Name of the model.
        """
        check_name(name)
        return Journal(self._access.store(), name).repair()

    def promote(self, model: str, *, to: str, gates: GateFile | None = None, force: str | None = None) -> Promotion:
        """Makes a version champion, challenger or shadow, if the gates let it.

        Args:
            model: `NAME@3`, or `NAME@challenger`.
            to: The alias.
            gates: Their bounds; None takes those of `configs/gates/default.yaml`.
            force: Why it is promoted whatever the gates say; it is recorded.

        Returns:
            What was done, or refused: then nothing was changed.

        Raises:
            UsageError: There is no such version, or no such alias.
            PromotionConflictError: Somebody else changes the same model.
            RegistryUnreachableError: The registry does not answer.
        """
        reference = read_reference(model)
        if "@" not in model:
            raise UsageError(f"model: {model!r} given; say which version, e.g. {model}@1")
        name = reference.name
        with changing(self._access.lock_folder, name, wait=0.0):
            snapshot = self._access.ask(name)
            promotion = promote_version(
                Journal(self._access.store(), name),
                snapshot,
                lambda number: self._candidate(name, number, snapshot),
                reference=reference,
                to=to,
                gates=GateFile.read() if gates is None else gates,
                force=force,
            )
            if promotion.promoted:
                self._access.ask(name)
        return promotion

    def rollback(self, name: str, *, reason: str | None = None) -> Rollback:
        """Makes the champion before the present one champion again; asks no gates and fetches nothing.

        If the registry does not answer, it is done on this machine alone, and the registry is told as soon as it
        answers again.

        Args:
            name: Name of the model.
            reason: Why; it is recorded.

        Raises:
            UsageError: There was no champion before.
            PromotionConflictError: Somebody else changes the same model.
        """
        check_name(name)
        with changing(self._access.lock_folder, name, wait=0.0):
            try:
                snapshot = self._access.ask(name, timeout=0.5)
            except RegistryUnreachableError as error:
                return roll_back_here(self._access.cache, name, self._access.last_known(name, error), reason=reason)
            done, snapshot = roll_back(Journal(self._access.store(), name), snapshot, reason=reason)
            self._access.cache.remember(name, snapshot)
        return done

    def candidate(self, model: str) -> Candidate:
        """A version with its manifest, for comparison.

        Args:
            model: As of `resolve`.
        """
        resolved = self.resolve(model)
        title = model if resolved.version is None else f"{resolved.name}@{resolved.version}"
        return Candidate(title, resolved.path, Manifest.read(resolved.path))

    def _candidate(self, name: str, number: int, snapshot: Snapshot) -> Candidate:
        path = self._access.fetch(name, number, snapshot)
        return Candidate(f"{name}@{number}", path, Manifest.read(path))
