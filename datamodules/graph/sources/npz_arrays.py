"""Arrays of npz files, read without unpickling: an array of Python objects is a pickle, which can run any code."""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

PARTS = ("data", "indices", "indptr", "shape")
"""Arrays of a sparse table."""


def read_npz(path: Path, keys: Sequence[str], *, advice: str) -> dict[str, np.ndarray]:
    """Reads arrays of an npz file.

    Args:
        path: The file.
        keys: Names of the arrays.
        advice: What to do about a file that cannot be read, for messages.

    Raises:
        ValueError: The file is not an npz file, lacks an array, or an array holds Python objects.
    """
    arrays = {}
    key = ""
    try:
        with np.load(path, allow_pickle=False) as archive:
            for key in keys:
                arrays[key] = archive[key]
    except KeyError as error:
        raise ValueError(f"{path} has no array {error}. {advice}") from error
    except (ValueError, TypeError, zipfile.BadZipFile, EOFError) as error:
        # numpy refuses object arrays, and treats files other than npz as pickles, which it refuses too.
        which = f", array {key!r}" if key else ""
        raise ValueError(
            f"{path}{which} is not read: {error}. Pickled Python objects can run any code, and are never opened. "
            f"{advice}"
        ) from error
    return arrays


def sparse_table(arrays: Mapping[str, np.ndarray], *, start: str, file: str) -> csr_matrix:
    """The sparse table of four arrays, repeated entries summed.

    Args:
        arrays: `PARTS`, each with `start` before its name.
        start: Start of the names, e.g. `adj_`.
        file: Name of the file, for messages.

    Raises:
        ValueError: They are no sparse table.
    """
    data, indices, indptr, shape = (arrays[f"{start}{part}"] for part in PARTS)
    try:
        table = csr_matrix((data, indices, indptr), shape=tuple(shape))
        table.check_format(full_check=True)  # indices out of bounds would read arbitrary memory
    except (ValueError, TypeError) as error:
        raise ValueError(f"{file}: {start.rstrip('_.')} is not a sparse table ({error})") from error
    table.sum_duplicates()
    return table


def sparse_tensor(table: csr_matrix) -> Tensor:
    """A sparse table as `torch.sparse_csr`, float32."""
    return torch.sparse_csr_tensor(
        torch.from_numpy(table.indptr.astype(np.int64)),
        torch.from_numpy(table.indices.astype(np.int64)),
        torch.from_numpy(table.data).float(),
        table.shape,
        check_invariants=True,  # torch warns if this is left unset
    )
