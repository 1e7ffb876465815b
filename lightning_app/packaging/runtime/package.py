"""Package: a verified folder with an ONNX model that answers requests."""

import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_app.packaging.format.drift_files import read_drift_reference, read_drift_sample
from lightning_app.packaging.format.errors import BadRowsError, RequestError
from lightning_app.packaging.format.manifest import Manifest
from lightning_app.packaging.runtime.contents import GOLDEN, PackageContents
from lightning_app.packaging.runtime.frames import as_frame
from lightning_app.packaging.runtime.golden import replay as replay_golden
from lightning_app.packaging.runtime.predictor import Predictor
from lightning_app.packaging.runtime.raw_contract import CONTRACT, bad_rows, load_contract, raw_table
from lightning_app.packaging.runtime.raw_input import RawBatch, RawInput
from lightning_app.packaging.runtime.requests.records import as_records
from lightning_app.packaging.runtime.rows import StreamState
from lightning_app.packaging.runtime.text.tokenizer import TEXT, Tokenizer

if TYPE_CHECKING:
    import polars as pl
    from onnxruntime import InferenceSession

    from features.contracts import Contract
    from features.contracts.row_contract import RowContract
    from features.store import OnlineStore
    from lightning_app.drift.reference import Reference


class Package:
    """A loaded package; use `Package.load`.

    Args:
        path: Folder of the package.
        digest: sha256 of the manifest.
        predictor: Predictor of the package.
        contract: Content of the file with the data contract; None without one.

    Attributes:
        path: Folder of the package.
        digest: sha256 of `manifest.json`, which identifies the content of the whole folder.
        predictor: Predictor of the package.
    """

    def __init__(self, *, path: Path, digest: str, predictor: Predictor, contract: bytes | None = None) -> None:
        self.path = path
        self.digest = digest
        self.predictor = predictor
        self._contract = contract

    @classmethod
    def load(cls, path: str | Path, *, num_threads: int = 1, replay: bool = True) -> "Package":
        """Verifies and loads a package, and replays its golden request.

        Nothing is unpickled, and nothing outside the folder is read.

        Args:
            path: Folder of the package.
            num_threads: Threads per call.
            replay: Whether to replay the golden request; without it, wrong answers go unnoticed.

        Raises:
            PackageError: The folder is no package, was changed since it was written, has a newer schema, or answers its
                golden request differently.
        """
        return cls.of(PackageContents.read(path), num_threads=num_threads, replay=replay)

    @classmethod
    def of(cls, contents: PackageContents, *, num_threads: int = 1, replay: bool = True) -> "Package":
        """Loads a package from verified contents, without reading its folder again; otherwise like `load`.

        Args:
            contents: Verified contents.
            num_threads: Threads per call.
            replay: Whether to replay the golden request.

        Raises:
            PackageError: As in `load`.
        """
        predictor = contents.predictor(num_threads=num_threads)
        if replay:
            replay_golden(predictor, contents.files[GOLDEN])
        return cls(
            path=contents.path,
            digest=contents.digest,
            predictor=predictor,
            contract=contents.files.get(CONTRACT),
        )

    @property
    def manifest(self) -> Manifest:
        """Manifest of the package."""
        return self.predictor.manifest

    @cached_property
    def contract(self) -> "Contract | None":
        """Data contract that raw rows have to keep; None without one."""
        return None if self._contract is None else load_contract(self._contract)

    def drift_reference(self) -> "Reference | None":
        """What the package says of its held-out rows, for monitoring; None of packages that were written without it.

        Raises:
            PackageError: Its file was changed since the package was loaded.
        """
        return read_drift_reference(self.path, self.manifest)

    def drift_sample(self) -> "pl.DataFrame | None":
        """Some of the held-out rows as a journal would export them; None of packages that were written without them.

        Raises:
            PackageError: Their file was changed since the package was loaded.
        """
        return read_drift_sample(self.path, self.manifest)

    @property
    def session(self) -> "InferenceSession":
        """ONNX Runtime session."""
        return self.predictor.session

    @property
    def tokenizer(self) -> Tokenizer | None:
        """Tokenizer, if the input is text."""
        return self.predictor.tokenizer

    def predict(self, request: Any, *, at: Any = None) -> Any:
        """Predicts every row of a request; see `Predictor.predict`. Raw rows have to keep the package's contract.

        Args:
            request: A table of raw rows or of inputs, or a dict of arrays by name.
            at: Which answers to raw rows are asked for; see `Predictor.predict_raw`.

        Raises:
            BadRowsError: Some rows cannot be answered, or break a rule of the contract.
            RequestError: The request does not fit the package, or breaks a rule of the contract on whole tables.
        """
        raw = self.predictor.raw_input
        if raw is not None and isinstance(request, Mapping) and (records := as_records(request)) is not None:
            batch = self.read_records(records, at=at)
            if batch is not None:
                return self.predictor.answer_records(batch)
        if self.contract is not None and (table := raw_table(request, self.manifest)) is not None:
            for note in self.check_contract(table):
                warnings.warn(f"{self.manifest.name}: {note}", stacklevel=2)
        answer = self.predictor.predict(request, at=at)
        if (unknown := self.unknown_note(request)) is not None:
            warnings.warn(f"{self.manifest.name}: {unknown}", stacklevel=2)
        return answer

    def read_records(self, records: Sequence[Mapping[str, Any]], *, at: Any = None) -> RawBatch | None:
        """A few raw rows as inputs of the ONNX graph, without a table: checked and prepared many times faster.

        Args:
            records: Cells by column, as plain Python values.
            at: As in `predict`.

        Returns:
            Values for `Predictor.run`, whose answer `Predictor.finish_records` takes; None if the rows have to be
            answered, or refused, as a table.
        """
        if self._row_contract is not None and not self._row_contract.keeps(records):
            return None
        return self.predictor.read_records(records, at=at)

    @cached_property
    def _row_contract(self) -> "RowContract | None":
        if self.contract is None:
            return None
        from features.contracts.row_contract import RowContract

        return RowContract(self.contract)

    def check_contract(self, table: "pl.DataFrame") -> list[str]:
        """Checks raw rows against the data contract of the package.

        Args:
            table: Raw rows.

        Returns:
            Broken rules that only warn, in words; nothing without a contract.

        Raises:
            BadRowsError: Some rows break a rule.
            RequestError: The table breaks a rule that concerns it as a whole.
        """
        if self.contract is None:
            return []
        rejected, notes, num_rows = bad_rows(self.contract, table)
        if rejected:
            raise BadRowsError(rejected, num_rows=num_rows)
        return notes

    def with_tables(self, tables: "Mapping[str, pl.DataFrame]") -> "Package":
        """The same package with tables of further sources that its features read.

        Args:
            tables: Tables by name of their source.

        Raises:
            RequestError: The package reads no source of that name.
        """
        return self._with(self._prepared("tables").with_tables(tables))

    def with_store(self, store: "OnlineStore", *, namespace: str = "default") -> "Package":
        """The same package for rows with the keys of entities, whose features of history are read from a store.

        Its `manifest.raw_input` lists the columns that such rows need: keys and requested columns. `predict` takes the
        time as `at`, else as a column of the rows, else it is now. A row of an entity that was never seen is answered
        with its features of history missing. Of the contract, the rules that a row breaks by itself are kept.
        `features.store.StoreError` is raised where the store cannot be reached.

        Args:
            store: Store that was materialized from the definitions of the package, see `features.store.open_store`.
            namespace: Project in the store.

        Raises:
            RequestError: The package reads no features of history, or some that no store holds.
        """
        return self._with(self._prepared("store").with_store(store, namespace=namespace))

    def _prepared(self, key: str) -> RawInput:
        if self.predictor.raw_input is None:
            raise RequestError(f"{key}: given, but {self.manifest.name} takes no raw rows")
        return self.predictor.raw_input

    def _with(self, raw_input: RawInput) -> "Package":
        predictor, contract = self.predictor.with_raw_input(raw_input), self._contract
        if contract is not None and raw_input.needs is not None:
            needed = tuple(column.name for column in raw_input.needs.columns if column.required)
            alone = load_contract(contract).of_rows(needed)
            contract = None if alone is None else alone.to_json()
        return Package(path=self.path, digest=self.digest, predictor=predictor, contract=contract)

    def advance(self, request: Any, state: StreamState | None) -> tuple[Any, StreamState]:
        """Predicts the next chunk of every stream; see `Predictor.advance`.

        Args:
            request: A table, or a dict of arrays by input name.
            state: State that the previous call returned; None starts all streams from their initial state.
        """
        answer = self.predictor.advance(request, state)
        if (note := self.unknown_note(request)) is not None:
            warnings.warn(f"{self.manifest.name}: {note}", stacklevel=2)
        return answer

    def unknown_note(self, request: Any) -> str | None:
        """A note on the tokens of a request that are not in the vocabulary; None if all are.

        Args:
            request: As in `predict`.
        """
        if self.tokenizer is None:
            return None
        frame = as_frame(request)
        table = request if frame is None else frame
        if TEXT not in (table if frame is None else frame.columns):
            return None
        texts = table[TEXT]
        return self.tokenizer.unknown_note([texts] if isinstance(texts, str) else texts)

    def generate(self, prompt: str, num_tokens: int, *, temperature: float = 1.0, seed: int | None = None) -> str:
        """Continues a text by sampling; for packages of language models on text.

        Args:
            prompt: Text of at least one token; its last line is continued unless it ends with a line break.
            num_tokens: Number of tokens to add; fewer where a causal language model ends the text before.
            temperature: Divides the logits; 0 takes the likeliest token.
            seed: Seed of the sampling; None is not reproducible.

        Returns:
            The prompt and its continuation. Tokens outside the vocabulary are replaced by its unknown token, with a
            warning.

        Raises:
            RequestError: The package is no language model of text, or the prompt is empty.
        """
        from lightning_app.packaging.runtime.continuation.generation import generate  # imports numpy.random

        return generate(self.predictor, prompt, num_tokens, temperature=temperature, seed=seed)
