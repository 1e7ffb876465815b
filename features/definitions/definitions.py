"""Definitions: everything a features file says, checked as a whole; YAML and Python forms are equal key by key."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import yaml

from features.definitions.base import Definition
from features.definitions.checks import check_definitions
from features.definitions.label import FutureAggregate, Label, LabelColumn
from features.definitions.messages import nearest
from features.definitions.source import Entity, Source
from features.definitions.structure import read_structure
from features.definitions.view import Feature, FeatureView


class Definitions(Definition, frozen=True, kw_only=True):
    """Entities, sources, views and labels.

    Attributes:
        views: Feature views by name.
        entities: Entities by name.
        sources: Sources by name.
        labels: Labels by name; no feature may read them but target encodings.

    Raises:
        ValueError: A name is unknown, or a feature would see the label or the future.
    """

    views: dict[str, FeatureView]
    entities: dict[str, Entity] = msgspec.field(default_factory=dict)
    sources: dict[str, Source] = msgspec.field(default_factory=dict)
    labels: dict[str, LabelColumn | FutureAggregate] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        check_definitions(views=self.views, entities=self.entities, sources=self.sources, labels=self.labels)

    @classmethod
    def load(cls, path: str | Path) -> "Definitions":
        """Reads a features file.

        Args:
            path: YAML or JSON file. Relative paths of its sources are relative to its folder.

        Raises:
            ValueError: The file cannot be read, has unknown keys, or contradicts itself.
        """
        file = Path(path)
        try:
            text = file.read_text()
        except OSError as error:
            raise ValueError(f"features: {file} cannot be read: {error.strerror}") from error
        try:
            content = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ValueError(f"features: {file} is no YAML: {' '.join(str(error).split())}") from error
        return cls.from_data(content, name=str(file))

    @classmethod
    def from_data(cls, content: Any, *, name: str = "features") -> "Definitions":
        """Builds definitions from plain dicts and lists.

        Args:
            content: What a YAML file holds.
            name: Name for messages.

        Raises:
            ValueError: A key is unknown, a value is of another type, or a check fails.
        """
        parts = read_structure(content, name=name)
        try:
            return cls(**parts)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error

    def to_data(self) -> dict[str, Any]:
        """The definitions as plain dicts and lists."""
        return msgspec.to_builtins(self)  # type: ignore[no-any-return]

    def to_yaml(self) -> str:
        """The definitions as a YAML file."""
        return yaml.safe_dump(self.to_data(), sort_keys=False, allow_unicode=True, width=120)

    @property
    def digest(self) -> str:
        """sha256 of the definitions; equal definitions have equal digests, whatever the order of their keys."""
        return hashlib.sha256(msgspec.json.encode(self, order="sorted")).hexdigest()

    def feature(self, name: str) -> Feature:
        """The feature of a full name, `view.feature`.

        Args:
            name: Full name.

        Raises:
            ValueError: There is no such feature.
        """
        (full,) = self.select([name])
        view, _, feature = full.partition(".")
        return self.views[view].features[feature]

    def select(self, names: Sequence[str] | None = None) -> tuple[str, ...]:
        """Full names of features, `view.feature`.

        Args:
            names: Full names, or names of views for all of their features; None for all features.

        Raises:
            ValueError: A name is unknown.
        """
        chosen: list[str] = []
        for name in self.views if names is None else names:
            view, _, feature = name.partition(".")
            known = [f"{view}.{one}" for one in self.views[view].features] if view in self.views else []
            wanted = [name] if feature else known
            if not known or (feature and name not in known):
                every = [f"{a}.{b}" for a, content in self.views.items() for b in content.features]
                same = [full for full in every if full.partition(".")[2] == name]
                raise ValueError(f"feature {name!r} is not defined{nearest(name, same or [*every, *self.views])}")
            chosen += wanted
        twins = sorted({name for name in chosen if chosen.count(name) > 1})
        if twins:
            raise ValueError(f"feature {twins[0]!r} is selected twice")
        return tuple(chosen)

    def label(self, name: str) -> Label:
        """The label of a name.

        Args:
            name: Its name.

        Raises:
            ValueError: There is no such label.
        """
        if name not in self.labels:
            raise ValueError(f"label {name!r} is not defined{nearest(name, self.labels)}")
        return self.labels[name]
