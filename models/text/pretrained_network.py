"""Pretrained networks of `transformers`: made from a folder, with its weights or before those of a checkpoint."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from features.text.pretrained import WEIGHTS, pretrained_folder
from models.pretrained_files import weights_follow

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_POOLER = "pooler."


def load_network(auto_class: str, source: str | Path, *, key: str, keeps_weights: bool = False) -> "PreTrainedModel":
    """A network of `transformers` in float32, with its pretrained weights unless those of a checkpoint follow.

    Args:
        auto_class: Name of the class in `transformers`: `AutoModel`, `AutoModelForCausalLM`.
        source: As of `features.text.pretrained_folder`.
        key: Key in the config, for messages.
        keeps_weights: Whether the pretrained weights are read even if those of a checkpoint follow, which then has only
            some of the model.

    Raises:
        ValueError: The folder holds no model, or no weights in safetensors; or weights that its config does not fit.
        ModuleNotFoundError: The library `transformers` is missing.
    """
    try:
        import transformers
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"{key}: {source} needs transformers: pip install 'lightning-r2p[text]'") from error
    kind: Any = getattr(transformers, auto_class)
    restored = weights_follow() and not keeps_weights
    folder = pretrained_folder(source, key=key, with_weights=not restored)
    with _quiet():
        try:
            config = transformers.AutoConfig.from_pretrained(folder)
        except (ValueError, KeyError, OSError) as error:
            raise ValueError(f"{key}: {folder} holds no readable model: {_first_line(error)}") from error
        if restored:
            network: PreTrainedModel = kind.from_config(config, attn_implementation="sdpa", dtype=torch.float32)
            return network.train()
        if not any(folder.glob("model*.safetensors")):
            raise ValueError(
                f"{key}: {folder} holds no weights: no {WEIGHTS}; save them there: model.save_pretrained(folder)"
            )
        try:
            network, loaded = kind.from_pretrained(
                folder,
                config=config,
                attn_implementation="sdpa",
                dtype=torch.float32,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
            )
        except (ValueError, RuntimeError, OSError, KeyError) as error:
            raise ValueError(f"{key}: weights in {folder} do not fit its config: {_first_line(error)}") from error
    missing = sorted(name for name in loaded["missing_keys"] if _POOLER not in name)
    if missing:
        raise ValueError(
            f"{key}: {folder}/{WEIGHTS} lacks {len(missing)} weights of {type(network).__name__}, such as "
            f"{missing[0]}: they would stay random"
        )
    return network.train()  # comes in evaluation, and Lightning would leave it so


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences progress bars and reports of `transformers`; what matters of them is checked."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
