"""A package: a verified folder that answers requests."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_app.packaging.format.manifest import Manifest
from lightning_app.packaging.runtime.contents import GOLDEN, PackageContents
from lightning_app.packaging.runtime.generation import generate
from lightning_app.packaging.runtime.golden import replay as replay_golden
from lightning_app.packaging.runtime.predictor import Predictor
from lightning_app.packaging.runtime.rows import State
from lightning_app.packaging.runtime.tokenizer import Tokenizer

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


class Package:
    """What `Package.load` returns; see there.

    Args:
        path: The folder.
        digest: sha256 of the manifest.
        predictor: What answers.

    Attributes:
        path: The folder.
        digest: sha256 of `manifest.json`, and with it of everything in the folder.
        predictor: What answers.
    """

    def __init__(self, *, path: Path, digest: str, predictor: Predictor) -> None:
        self.path = path
        self.digest = digest
        self.predictor = predictor

    @classmethod
    def load(cls, path: str | Path, *, num_threads: int = 1, replay: bool = True) -> "Package":
        """Verifies a package, loads it, and asks it its golden request.

        Nothing is unpickled, and nothing outside of the folder is read.

        Args:
            path: The folder.
            num_threads: Threads of one call.
            replay: Ask the golden request; without it a wrong answer is not noticed.

        Raises:
            PackageError: The folder is no package, not the one that was written, of a newer schema, or answers its
                golden request differently.
        """
        return cls.of(PackageContents.read(path), num_threads=num_threads, replay=replay)

    @classmethod
    def of(cls, contents: PackageContents, *, num_threads: int = 1, replay: bool = True) -> "Package":
        """Loads what was verified before, whatever lies in the folder by now; else as `load`.

        Args:
            contents: What was verified.
            num_threads: Threads of one call.
            replay: Ask the golden request.

        Raises:
            PackageError: As of `load`.
        """
        predictor = contents.predictor(num_threads=num_threads)
        if replay:
            replay_golden(predictor, contents.files[GOLDEN])
        return cls(path=contents.path, digest=contents.digest, predictor=predictor)

    @property
    def manifest(self) -> Manifest:
        """What the package is."""
        return self.predictor.manifest

    @property
    def session(self) -> "InferenceSession":
        """The ONNX Runtime session."""
        return self.predictor.session

    @property
    def tokenizer(self) -> Tokenizer | None:
        """Where the input is text."""
        return self.predictor.tokenizer

    def predict(self, request: Any) -> Any:
        """Answers every row of a request; see `Predictor.predict`.

        Args:
            request: A table, or a dict of arrays by name of an input.
        """
        return self.predictor.predict(request)

    def advance(self, request: Any, state: State | None) -> tuple[Any, State]:
        """Answers the next chunk of every stream; see `Predictor.advance`.

        Args:
            request: A table, or a dict of arrays by name of an input.
            state: As the call before returned it; None starts all streams anew.
        """
        return self.predictor.advance(request, state)

    def generate(self, prompt: str, num_tokens: int, *, temperature: float = 1.0, seed: int | None = None) -> str:
        """Continues a text by sampling, where the package is a language model of text.

        Args:
            prompt: At least one token; its last line goes on unless it ends with a line break.
            num_tokens: How many tokens to add.
            temperature: Divides the logits; 0 takes the likeliest token.
            seed: Of the draws; None draws otherwise each time.

        Returns:
            The prompt and what follows; tokens that the vocabulary does not hold are its unknown token, and a warning
            names them.

        Raises:
            RequestError: The package is no language model of text, or the prompt is empty.
        """
        return generate(self.predictor, prompt, num_tokens, temperature=temperature, seed=seed)
