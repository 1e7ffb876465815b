"""Package contents: the verified bytes of a package, from which any number of predictors can be opened."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lightning_app.packaging.format.folder import read_folder
from lightning_app.packaging.format.manifest import TOKENIZER, Manifest
from lightning_app.packaging.format.node_ids import NODE_IDS, NodeIds
from lightning_app.packaging.runtime.predictor import Predictor
from lightning_app.packaging.runtime.raw_contract import CONTRACT, load_contract
from lightning_app.packaging.runtime.raw_input import load_raw_input
from lightning_app.packaging.runtime.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from features.contracts import Contract

GOLDEN, _MODEL = "golden.json", "model.onnx"


@dataclass(frozen=True)
class PackageContents:
    """Everything a package needs to predict; can be sent to other processes and machines.

    Attributes:
        path: Folder that it was read from; the folder may have been replaced since.
        digest: sha256 of `manifest.json`.
        manifest: Checked manifest.
        files: Name to verified bytes of the model, golden request, tokenizer, node ids, raw input and contract.
    """

    path: Path
    digest: str
    manifest: Manifest
    files: Mapping[str, bytes]

    @classmethod
    def read(cls, path: str | Path) -> "PackageContents":
        """Reads a package and verifies every file.

        Args:
            path: Folder of the package.

        Raises:
            PackageError: The folder is no package, or was changed since it was written.
        """
        folder = Path(path)
        manifest, digest, files = read_folder(folder, keep=(_MODEL, GOLDEN, TOKENIZER, NODE_IDS, CONTRACT))
        return cls(folder, digest, manifest, files)

    @property
    def contract(self) -> "Contract | None":
        """Data contract that raw rows have to keep; None without one."""
        return load_contract(self.files[CONTRACT]) if CONTRACT in self.files else None

    def predictor(self, *, num_threads: int) -> Predictor:
        """Opens an ONNX Runtime session.

        Args:
            num_threads: Threads per call.

        Raises:
            PackageError: The model cannot be loaded, or does not match the manifest.
        """
        tokenizer = Tokenizer.from_json(self.files[TOKENIZER]) if self.manifest.tokenizer else None
        spec = self.manifest.node_ids
        node_ids = None if spec is None else NodeIds.from_parquet(self.files[NODE_IDS], spec)
        raw = self.manifest.raw_input
        return Predictor(
            manifest=self.manifest,
            model=self.files[_MODEL],
            tokenizer=tokenizer,
            node_ids=node_ids,
            raw_input=None if raw is None else load_raw_input(self.manifest, self.files),
            num_threads=num_threads,
        )
