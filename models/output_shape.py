"""Output shapes of injected networks: checks with messages that name the network."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

_SHAPE_WORDS = ("shape", "size", "dimension", "must match", "broadcast")


def check_output(output: Any, expected: Sequence[int | None], *, part: nn.Module, key: str, meaning: str) -> None:
    """Raises unless a network's output has the expected shape; a wrong one might broadcast or fail elsewhere.

    Args:
        output: The network's output.
        expected: Expected shape; None matches any size.
        part: The network.
        key: Its key in a config, e.g. `model.network`.
        meaning: The shape in words, e.g. `(batch, horizon, num_channels)`.

    Raises:
        ValueError: Names the network's class, the actual shape and the expected one.
    """
    if isinstance(output, Tensor):
        if output.ndim == len(expected) and all(
            size is None or actual == size for actual, size in zip(output.shape, expected, strict=True)
        ):
            return
        actual_shape = _written(output.shape)
    else:
        actual_shape = f"a {type(output).__name__}"
    raise ValueError(
        f"{key}: {type(part).__name__} gives {actual_shape}, expected is a tensor {_written(expected)} = {meaning}; "
        "change its forward"
    )


@contextmanager
def naming(part: nn.Module, *, key: str, inputs: dict[str, Tensor], meaning: str) -> Iterator[None]:
    """Names the network in errors about the shapes of its inputs.

    Args:
        part: The network.
        key: Its key in a config.
        inputs: Its inputs, by name.
        meaning: The output expected of it, in words.
    """
    try:
        yield
    except RuntimeError as error:
        text = str(error)
        if not any(word in text.lower() for word in _SHAPE_WORDS):
            raise
        actual = ", ".join(f"{name} {_written(value.shape)}" for name, value in inputs.items())
        raise ValueError(
            f"{key}: {type(part).__name__} fails on {actual}: {text.splitlines()[0]}; expected of it is {meaning}"
        ) from error


def _written(shape: Sequence[int | None]) -> str:
    sizes = ["any" if size is None else str(int(size)) for size in shape]
    return f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"
