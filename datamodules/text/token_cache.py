"""Token cache: tokens of a table's texts in memory-mapped files, found by the content of texts and tokenizer."""

import hashlib
import json
import os
import secrets
import shutil
import zlib
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np

from features.text.token_rows import FastTokenizer, TokenRows

_FORMAT = 1
_ARRAYS = ("ids", "starts", "truncated")
_ENTRY = "entry.json"
_FEW = 10_000
"""Texts up to which a default cache is not worth its files."""


def default_cache() -> Path:
    """Folder of cached tokens: `lightning-app/tokens` below `$XDG_CACHE_HOME`, or below `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "lightning-app" / "tokens"


def cached_tokens(
    texts: Sequence[str], tokenizer: FastTokenizer, *, tokenizer_file: Path, cache: Path | None
) -> tuple[TokenRows, list[str]]:
    """Tokens of texts, from the cache if it has them; what was made is stored there.

    The key is the sha256 of the texts, the tokenizer's file, the most tokens of a text and the version of `tokenizers`.
    Entries are written beside their place and renamed, so that several processes may write the same one.

    Args:
        texts: The texts.
        tokenizer: Makes what the cache does not have.
        tokenizer_file: `tokenizer.json` that the tokenizer was read from.
        cache: Folder of the cache; None for `default_cache`, which a few texts do not go to.

    Returns:
        tokens: Token ids, memory-mapped where they come from a file.
        remarks: What was read, stored, or could not be, for the user.
    """
    if cache is None and len(texts) <= _FEW:
        return tokenizer.encode(texts), []
    entry = (cache or default_cache()) / _key(texts, tokenizer, tokenizer_file)
    remarks: list[str] = []
    if entry.exists():
        try:
            tokens = _read(entry, len(texts))
        except (OSError, ValueError, KeyError) as error:
            remarks.append(f"{entry} is damaged ({error}): made anew")
            shutil.rmtree(entry, ignore_errors=True)
        else:
            return tokens, [f"of {len(texts):,} texts read from {entry}"]
    tokens = _small(tokenizer.encode(texts), tokenizer.vocab_size)
    try:
        size = _write(entry, tokens)
    except OSError as error:
        return tokens, [*remarks, f"of {len(texts):,} texts not cached, {entry.parent}: {error.strerror or error}"]
    return tokens, [*remarks, f"of {len(texts):,} texts cached, {size / 1e6:,.1f} MB: {entry}"]


def texts_sha256(texts: Sequence[str]) -> str:
    """sha256 of texts: of their characters, and of their lengths.

    Args:
        texts: The texts.
    """
    digest = hashlib.sha256("".join(texts).encode("utf-8", "surrogatepass"))
    digest.update(np.fromiter(map(len, texts), dtype=np.int64, count=len(texts)).tobytes())
    return digest.hexdigest()


def array_sha256(array: np.ndarray) -> str:
    """sha256 of the bytes of an array.

    Args:
        array: The array.
    """
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()


def _key(texts: Sequence[str], tokenizer: FastTokenizer, tokenizer_file: Path) -> str:
    parts = (
        str(_FORMAT),
        texts_sha256(texts),
        hashlib.sha256(tokenizer_file.read_bytes()).hexdigest(),
        str(tokenizer.max_length),
        str(tokenizer.pad_token_id),
        version("tokenizers"),
    )
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:32]


def _small(tokens: TokenRows, vocab_size: int) -> TokenRows:
    dtype = np.uint16 if vocab_size <= np.iinfo(np.uint16).max + 1 else np.int32
    return TokenRows(ids=tokens.ids.astype(dtype), starts=tokens.starts, truncated=tokens.truncated)


def _read(entry: Path, num_texts: int) -> TokenRows:
    """Reads an entry; raises `ValueError`, `KeyError` or `OSError` unless it is what was written."""
    sums = json.loads((entry / _ENTRY).read_bytes())["crc32"]
    arrays = {}
    for name in _ARRAYS:
        arrays[name] = np.load(entry / f"{name}.npy", mmap_mode="r")
        if zlib.crc32(arrays[name].data) != sums[name]:
            raise ValueError(f"{name}.npy has another checksum")
    if len(arrays["starts"]) != num_texts + 1 or arrays["starts"][-1] != len(arrays["ids"]):
        raise ValueError("its sizes do not go together")
    starts = np.array(arrays["starts"])  # of every batch: kept in memory
    return TokenRows(ids=arrays["ids"], starts=starts, truncated=np.array(arrays["truncated"]))


def _write(entry: Path, tokens: TokenRows) -> int:
    """Writes an entry, and returns its bytes; one that another process wrote meanwhile stays."""
    partial = entry.with_name(f".{entry.name}.{secrets.token_hex(4)}")
    try:
        partial.mkdir(parents=True)
        arrays = {name: np.ascontiguousarray(getattr(tokens, name)) for name in _ARRAYS}
        for name, array in arrays.items():
            with (partial / f"{name}.npy").open("wb") as file:
                np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
                file.write(array.data)  # np.save does not notice that the disk is full
                file.flush()
                os.fsync(file.fileno())
        sums = {name: zlib.crc32(array.data) for name, array in arrays.items()}
        (partial / _ENTRY).write_text(json.dumps({"format": _FORMAT, "texts": len(tokens), "crc32": sums}))
        try:
            partial.rename(entry)
        except OSError:
            if not entry.exists():
                raise
        return sum(array.nbytes for array in arrays.values())
    finally:
        shutil.rmtree(partial, ignore_errors=True)
