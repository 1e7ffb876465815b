"""Served arms: what the fleet serves, grouped by configured model."""

from collections.abc import Sequence
from dataclasses import dataclass

from lightning_app.serving.config.arm_references import ArmReference, arm_references
from lightning_app.serving.config.control_channel import ResolvedModel
from lightning_app.serving.config.serve_config import ModelConfig


@dataclass(frozen=True)
class ServedArms:
    """One configured model, and what is served of it.

    Attributes:
        config: Configuration of the model.
        name: Name in addresses.
        references: All packages that it names.
        held: What is served, by arm.
    """

    config: ModelConfig
    name: str
    references: list[ArmReference]
    held: dict[str, ResolvedModel]


def served_arms(configs: Sequence[ModelConfig], models: Sequence[ResolvedModel]) -> list[ServedArms]:
    """What is served, for each configured model.

    Args:
        configs: Configured models.
        models: What is served, in their order.
    """
    groups: dict[str, dict[str, ResolvedModel]] = {}
    for model in models:
        groups.setdefault(model.name, {})[model.arm] = model
    return [
        ServedArms(config, name, arm_references(config), held)
        for config, (name, held) in zip(configs, groups.items(), strict=True)
    ]
