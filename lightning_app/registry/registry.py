"""Registry: register, resolve, promote, withdraw and roll back versions of models."""

import logging
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_app.errors import UsageError
from lightning_app.packaging.format.errors import PackageError
from lightning_app.packaging.format.folder import SIGNATURE, read_folder
from lightning_app.packaging.format.manifest import MANIFEST, Manifest
from lightning_app.packaging.format.package_signature import verify_signature
from lightning_app.packaging.runtime.package import Package
from lightning_app.registry.access import RegistryAccess, describe_versions
from lightning_app.registry.promotion.comparison import Candidate
from lightning_app.registry.promotion.gate_file import GateFile
from lightning_app.registry.promotion.gates import Verdict, check_gates
from lightning_app.registry.promotion.journal import Journal, JournalState
from lightning_app.registry.promotion.promote import Promotion, promote_version
from lightning_app.registry.promotion.rollback import Rollback, roll_back, roll_back_locally
from lightning_app.registry.promotion.withdraw import Withdrawal, withdraw_version
from lightning_app.registry.registered import ResolvedModel, Version
from lightning_app.registry.storage.address import RegistryAddress
from lightning_app.registry.storage.cache import Cache, Snapshot
from lightning_app.registry.storage.errors import RegistryUnreachableError, UnknownAliasError
from lightning_app.registry.storage.evaluations import FurtherEvaluation
from lightning_app.registry.storage.lock import exclusive
from lightning_app.registry.storage.mlflow_model import PACKAGE_FOLDER, write_mlflow_model
from lightning_app.registry.storage.reference import check_name, read_reference
from lightning_app.registry.storage.store import MlflowStore
from lightning_app.registry.storage.version_record import VersionRecord

if TYPE_CHECKING:
    import polars as pl

_log = logging.getLogger("lightning_app.registry")
_REGISTER_WAIT = 600.0


class Registry:
    """Models of one registry.

    Args:
        uri: Address of the registry; None takes `$MLFLOW_TRACKING_URI`, else `sqlite:///mlflow.db` in the working
            folder.
        cache: Folder of local copies; None takes `$LIGHTNING_APP_CACHE`, else `~/.cache/lightning-app`.
    """

    def __init__(self, uri: str | None = None, *, cache: Path | None = None) -> None:
        self.address = RegistryAddress.find(uri)
        self._access = RegistryAccess(self.address, Cache(self.address, cache))

    def register(
        self,
        path: str | Path,
        name: str | None = None,
        *,
        artifacts: str | None = None,
        trusted_keys: Sequence[Path] = (),
    ) -> int:
        """Registers a package as a new version; registering the same package again returns its existing version.

        If files of that version are missing from the registry, they are uploaded again; its signature is replaced by
        that of the package.

        Args:
            path: Folder of the package.
            name: Name of the model; None takes that of the manifest.
            artifacts: Folder or URI where a new registry stores packages; None takes the folder beside a sqlite file,
                the server's own root, or `$MLFLOW_DEFAULT_ARTIFACT_ROOT`.
            trusted_keys: Public keys, one of which has to have signed the package; none accepts any package.

        Returns:
            Number of the version.

        Raises:
            PackageError: The folder is no package, fails its golden request, or is not signed by a trusted key.
            RegistryUnreachableError: The registry does not answer.
            UsageError: The artifact root is not set, or is not accessible from here.
        """
        signed = verify_signature(path, trusted_keys) if trusted_keys else None
        package = Package.load(path)
        if signed is not None and signed.digest != package.digest:
            raise PackageError(f"package: {path} was replaced by another while it was registered")
        name = package.manifest.name if name is None else name
        check_name(name)
        with exclusive(self._access.lock_folder, f"{name}.register", wait=_REGISTER_WAIT):
            store = self._access.store(create=True)
            store.files.ensure_root(artifacts)
            known = next((record for record in store.versions(name) if record.digest == package.digest), None)
            sizes = {file: entry.bytes for file, entry in (package.manifest.files or {}).items()}
            sizes[MANIFEST] = (package.path / MANIFEST).stat().st_size
            if known is not None and not store.files.are_incomplete(known, sizes):
                if (package.path / SIGNATURE).is_file():
                    store.files.replace_signature(known, package.path / SIGNATURE)
                return known.number
            with tempfile.TemporaryDirectory() as scratch:
                folder = Path(scratch) / "model"
                write_mlflow_model(package.path, package.manifest, folder)
                if read_folder(folder / PACKAGE_FOLDER, keep=())[1] != package.digest:
                    raise PackageError(f"package: {path} was replaced by another while it was registered")
                if known is not None:
                    store.files.restore(known, folder)
                    _log.warning(
                        "files of %s@%s were missing from the registry, and were uploaded again", name, known.number
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
            self._access.refresh(name)
        return number

    def resolve(self, model: str) -> ResolvedModel:
        """Resolves a version and downloads its package.

        If the registry does not answer, its last known state and cached packages are used.

        Args:
            model: `NAME@champion`, `NAME@3`, `NAME` for its champion, or the folder of a package.

        Raises:
            UsageError: There is no such version.
            RegistryUnreachableError: The registry does not answer, and the model is not cached.
        """
        if (Path(model) / MANIFEST).is_file():  # a folder is not looked up in the registry
            return ResolvedModel(Manifest.read(model).name, None, Path(model), ())
        reference = read_reference(model)
        name = reference.name
        try:
            snapshot = self._access.refresh(name)
        except RegistryUnreachableError as error:
            snapshot = self._access.last_known(name, error)
        number = reference.version or snapshot.aliases.get(reference.alias or "")
        if number is None:
            known = ", ".join(f"{alias} {number}" for alias, number in sorted(snapshot.aliases.items()))
            versions = describe_versions(name, snapshot)
            kind = UsageError if reference.alias is None else UnknownAliasError
            raise kind(f"model: {reference} given, {versions}; aliases: {known or 'none'}")
        path = self._access.fetch(name, number, snapshot)
        if reference.alias == "champion" and "previous" in snapshot.aliases:
            self._access.fetch_previous(name, snapshot)
        return _resolved(name, number, path, snapshot)

    def verify_signature(self, resolved: ResolvedModel, trusted_keys: Sequence[Path]) -> None:
        """Verifies that a trusted key has signed a version.

        Its signature is fetched again if that in the cache is not valid.

        Args:
            resolved: The version.
            trusted_keys: The public keys.

        Raises:
            PackageError: No trusted key has signed it.
        """
        assert resolved.version is not None
        self._access.verify_signature(resolved.name, resolved.version, resolved.path, trusted_keys)

    def resolve_unchanged(self, model: str) -> ResolvedModel | None:
        """Resolves a version without importing MLflow, if the registry says the same as when it was last read.

        Unlike `resolve`, it neither completes changes whose process was killed nor downloads anything.

        Args:
            model: `NAME@champion`, `NAME@3`, or `NAME` for its champion.

        Returns:
            The version; None if something has changed or is not on this machine, and `resolve` is needed.

        Raises:
            UsageError: The reference has another form.
            RegistryUnreachableError: The registry does not answer.
        """
        reference = read_reference(model)
        unchanged = self._access.unchanged(reference)
        return None if unchanged is None else _resolved(reference.name, *unchanged)

    def versions(self, name: str) -> list[Version]:
        """Versions of a model, oldest first.

        Args:
            name: Name of the model.

        Raises:
            UsageError: There is no such model.
            RegistryUnreachableError: The registry does not answer.
        """
        check_name(name)
        self._access.refresh(name)
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

    def history(self, name: str) -> JournalState:
        """Promotion journal of a model: who changed which alias, when, and the verdicts of the gates.

        Args:
            name: Name of the model.
        """
        check_name(name)
        return Journal(self._access.store(), name).repair()

    def promote(
        self,
        model: str,
        *,
        to: str,
        gates: GateFile | None = None,
        force: str | None = None,
        reason: str | None = None,
    ) -> Promotion:
        """Gives a version the alias champion, challenger or shadow if it passes the gates.

        Args:
            model: `NAME@3`, or `NAME@challenger`.
            to: The alias.
            gates: Bounds of the gates; None takes `configs/gates/default.yaml`.
            force: Reason for overruling the gates; it is recorded.
            reason: Why the version is promoted; it is recorded, and overrules nothing.

        Returns:
            The outcome; nothing has changed if it was refused.

        Raises:
            UsageError: There is no such version, or no such alias.
            PromotionConflictError: Another process is changing the same model.
            RegistryUnreachableError: The registry does not answer.
        """
        reference = read_reference(model)
        if "@" not in model:
            raise UsageError(f"model: {model!r} given; say which version, e.g. {model}@1")
        name = reference.name
        with exclusive(self._access.lock_folder, name, wait=0.0):
            snapshot = self._access.refresh(name)
            promotion = promote_version(
                Journal(self._access.store(), name),
                snapshot,
                lambda number: self._candidate(name, number, snapshot),
                reference=reference,
                to=to,
                gates=GateFile.read() if gates is None else gates,
                force=force,
                reason=reason,
            )
            if promotion.promoted:
                self._access.refresh(name)
        return promotion

    def check(self, model: str, *, to: str, gates: GateFile | None = None) -> list[Verdict]:
        """Verdicts of the gates that a promotion would pass; changes nothing.

        Args:
            model: `NAME@3`, or `NAME@challenger`.
            to: The alias.
            gates: As in `promote`.

        Raises:
            UsageError: There is no such version.
            RegistryUnreachableError: The registry does not answer.
        """
        version, champion = self.candidate(model), None
        name = read_reference(model).name
        number = self._access.refresh(name).aliases.get("champion")
        if number is not None:
            champion = self.candidate(f"{name}@{number}")
        return check_gates(GateFile.read() if gates is None else gates, version, champion, alias=to)

    def withdraw(self, model: str, *, alias: str, reason: str | None = None) -> Withdrawal:
        """Takes the alias challenger or shadow from a version; checks no gates and downloads nothing.

        Args:
            model: `NAME@3`, or `NAME@challenger`.
            alias: The alias.
            reason: Why it is withdrawn; it is recorded.

        Returns:
            The outcome; nothing has changed if no version had the alias.

        Raises:
            UsageError: There is no such version, it has not the alias but another version has, or the alias is that of
                the champion.
            PromotionConflictError: Another process is changing the same model.
            RegistryUnreachableError: The registry does not answer.
        """
        reference = read_reference(model)
        if "@" not in model:
            raise UsageError(f"model: {model!r} given; say which version, e.g. {model}@1")
        name = reference.name
        with exclusive(self._access.lock_folder, name, wait=0.0):
            snapshot = self._access.refresh(name)
            withdrawal = withdraw_version(
                Journal(self._access.store(), name), snapshot, reference=reference, alias=alias, reason=reason
            )
            if withdrawal.withdrawn:
                self._access.refresh(name)
        return withdrawal

    def rollback(self, name: str, *, reason: str | None = None) -> Rollback:
        """Makes the previous champion champion again; checks no gates and downloads nothing.

        If the registry does not answer, the rollback takes effect on this machine only, and is synced to the registry
        when it answers again.

        Args:
            name: Name of the model.
            reason: Why the champion is rolled back; it is recorded.

        Raises:
            UsageError: There was no champion before.
            PromotionConflictError: Another process is changing the same model.
        """
        check_name(name)
        with exclusive(self._access.lock_folder, name, wait=0.0):
            try:
                snapshot = self._access.refresh(name, timeout=0.5)
            except RegistryUnreachableError as error:
                return roll_back_locally(self._access.cache, name, self._access.last_known(name, error), reason=reason)
            done, snapshot = roll_back(Journal(self._access.store(), name), snapshot, reason=reason)
            self._access.cache.remember(name, snapshot)
        return done

    def add_evaluation(self, model: str, table: "pl.DataFrame", data: Mapping[str, Any]) -> None:
        """Adds errors of a version on further data, e.g. on rows that are later than its test.

        Two versions that were tested on other data are compared on the latest data that both have an evaluation of.

        Args:
            model: `NAME@3`, or `NAME@champion`.
            table: Columns `row`, `error`, and `slice.NAME`, as in `evaluation.parquet` of a package.
            data: Fingerprint of the data: `sha256`, and `kind` in words.

        Raises:
            UsageError: There is no such version, or the table or the fingerprint is not of this form.
            RegistryUnreachableError: The registry does not answer.
        """
        resolved = self.resolve(model)
        if resolved.version is None:
            raise UsageError(f"model: {model!r} given, a registered version is needed, e.g. NAME@3")
        store = self._access.store()
        store.evaluations.add(self._record(store, resolved.name, resolved.version), table, data)

    def candidate(self, model: str) -> Candidate:
        """A version with its manifest, for comparison.

        Args:
            model: As in `resolve`.
        """
        resolved = self.resolve(model)
        title = model if resolved.version is None else f"{resolved.name}@{resolved.version}"
        if resolved.version is None:
            return Candidate(title, resolved.path, Manifest.read(resolved.path))
        return self._candidate_at(resolved.name, resolved.version, resolved.path)

    def _candidate(self, name: str, number: int, snapshot: Snapshot) -> Candidate:
        return self._candidate_at(name, number, self._access.fetch(name, number, snapshot))

    def _candidate_at(self, name: str, number: int, path: Path) -> Candidate:
        def further() -> Sequence[FurtherEvaluation]:
            store = self._access.store()
            return store.evaluations.read(self._record(store, name, number))

        return Candidate(f"{name}@{number}", path, Manifest.read(path), further)

    @staticmethod
    def _record(store: MlflowStore, name: str, number: int) -> VersionRecord:
        return next(record for record in store.versions(name) if record.number == number)


def _resolved(name: str, number: int, path: Path, snapshot: Snapshot) -> ResolvedModel:
    aliases = tuple(sorted(alias for alias, version in snapshot.aliases.items() if version == number))
    return ResolvedModel(name, number, path, aliases, snapshot.digests[number])
