"""RecurrentState: a tree of tensors (tuples, dicts, dataclasses) with the lanes of the batch first in each."""

import dataclasses
from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor

RecurrentState: TypeAlias = Any
"""A tensor (B, ...), None, or a tuple, list, dict or dataclass of states."""
State = RecurrentState  # the former name


def map_state(function: Callable[..., Tensor], *states: RecurrentState) -> RecurrentState:
    """Applies a function to corresponding tensors of states with the same structure.

    Args:
        function: Takes one tensor of each state.
        states: At least one; the result has the structure of the first.
    """
    first = states[0]
    if first is None:
        return None
    if isinstance(first, Tensor):
        return function(*states)
    if dataclasses.is_dataclass(first) and not isinstance(first, type):
        names = [field.name for field in dataclasses.fields(first)]
        fields = {name: map_state(function, *(getattr(state, name) for state in states)) for name in names}
        return dataclasses.replace(first, **fields)
    if isinstance(first, dict):
        return {name: map_state(function, *(state[name] for state in states)) for name in first}
    if isinstance(first, tuple | list):
        parts = [map_state(function, *corresponding) for corresponding in zip(*states, strict=True)]
        return type(first)(*parts) if hasattr(first, "_fields") else type(first)(parts)
    raise ValueError(f"a recurrent state is made of tensors, tuples, dicts and dataclasses, not {type(first).__name__}")


def detach(state: RecurrentState, like: RecurrentState) -> RecurrentState:
    """Detaches a state and casts it to the dtypes of `like` (float32 where autocast produced bfloat16)."""
    return map_state(lambda tensor, reference: tensor.detach().to(reference.dtype), state, like)


def where_reset(reset: Tensor, initial: RecurrentState, state: RecurrentState) -> RecurrentState:
    """Selects the initial state in lanes that reset, the carried state in the others.

    Args:
        reset: bool (B,).
        initial: State of B lanes; gradients flow to it if it is learned.
        state: Carried state of B lanes.
    """

    def choose(fresh: Tensor, carried: Tensor) -> Tensor:
        return torch.where(reset.view(-1, *[1] * (fresh.ndim - 1)), fresh, carried)

    return map_state(choose, initial, state)


def leaves(state: RecurrentState) -> list[Tensor]:
    """Tensors of a state in a fixed order, for a checkpoint."""
    collected: list[Tensor] = []

    def collect(tensor: Tensor) -> Tensor:
        collected.append(tensor)
        return tensor

    map_state(collect, state)
    return collected


def fill(like: RecurrentState, tensors: list[Tensor]) -> RecurrentState:
    """Builds a state with the structure of `like` from tensors in the order of `leaves`.

    Raises:
        ValueError: Number or shapes (apart from the lanes) of the tensors differ from the structure's.
    """
    expected = leaves(like)
    if [tensor.shape[1:] for tensor in tensors] != [reference.shape[1:] for reference in expected]:
        raise ValueError(
            f"the carried state has tensors of {[tuple(tensor.shape[1:]) for tensor in tensors]} per lane, "
            f"this model carries {[tuple(reference.shape[1:]) for reference in expected]}"
        )
    remaining = iter(tensors)
    return map_state(lambda reference: next(remaining).to(reference.device, reference.dtype), like)
