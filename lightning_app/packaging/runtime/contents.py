"""Contents of a package: its files as they were verified, opened as often as needed without reading again."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lightning_app.packaging.format.folder import read_folder
from lightning_app.packaging.format.manifest import TOKENIZER, Manifest
from lightning_app.packaging.format.node_ids import NODE_IDS, NodeIds
from lightning_app.packaging.runtime.predictor import Predictor
from lightning_app.packaging.runtime.tokenizer import Tokenizer

GOLDEN, _MODEL = "golden.json", "model.onnx"


@dataclass(frozen=True)
class PackageContents:
    """What a package needs to answer; it can be sent to other processes and machines.

    Attributes:
        path: The folder that it was read from; another package may lie there by now.
        digest: sha256 of `manifest.json`.
        manifest: Checked.
        files: Verified bytes of the model, the golden request, the tokenizer and the node ids, by name.
    """

    path: Path
    digest: str
    manifest: Manifest
    files: Mapping[str, bytes]

    @classmethod
    def read(cls, path: str | Path) -> "PackageContents":
        """Verifies every file of a folder.

        Args:
            path: The folder.

        Raises:
            PackageError: The folder is no package, or not the one that was written.
        """
        folder = Path(path)
        manifest, digest, files = read_folder(folder, keep=(_MODEL, GOLDEN, TOKENIZER, NODE_IDS))
        return cls(folder, digest, manifest, files)

    def predictor(self, *, num_threads: int) -> Predictor:
        """Opens a session.

        Args:
            num_threads: Threads of one call.

        Raises:
            PackageError: The model cannot be loaded, or does not fit the manifest.
        """
        tokenizer = Tokenizer.from_json(self.files[TOKENIZER]) if self.manifest.tokenizer else None
        spec = self.manifest.node_ids
        node_ids = None if spec is None else NodeIds.from_parquet(self.files[NODE_IDS], spec)
        return Predictor(
            manifest=self.manifest,
            model=self.files[_MODEL],
            tokenizer=tokenizer,
            node_ids=node_ids,
            num_threads=num_threads,
        )
