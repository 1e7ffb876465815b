"""Reduced definitions: the features that are kept, and those that they read."""

from collections.abc import Sequence

import msgspec

from features.definitions import Definitions, FeatureView, HistoryFeature, TargetEncoding
from features.definitions.columns_read import columns_read
from features.rows import required_features


def reduced_definitions(definitions: Definitions, kept: Sequence[str], *, labels: Sequence[str]) -> Definitions:
    """Definitions of some features alone, with the sources, labels and requested columns that they read.

    Args:
        definitions: The definitions.
        kept: Full names of the features to keep.
        labels: Labels to keep, beside those that target encodings read.
    """
    needed = set(required_features(definitions, kept))
    views = {
        name: _reduced_view(view, [key for key in view.features if f"{name}.{key}" in needed])
        for name, view in definitions.views.items()
        if any(f"{name}.{key}" in needed for key in view.features)
    }
    read = {
        feature.label
        for view in views.values()
        for feature in view.features.values()
        if isinstance(feature, TargetEncoding)
    }
    chosen = {name: label for name, label in definitions.labels.items() if name in read | set(labels)}
    sources = {view.source for view in views.values()} | {getattr(label, "source", None) for label in chosen.values()}
    return msgspec.structs.replace(
        definitions,
        views=views,
        labels=chosen,
        sources={name: source for name, source in definitions.sources.items() if name in sources},
    )


def _reduced_view(view: FeatureView, kept: Sequence[str]) -> FeatureView:
    features = {key: view.features[key] for key in kept}
    read = {column for feature in features.values() for column in columns_read(feature)}
    has_history = any(isinstance(feature, HistoryFeature) for feature in features.values())
    return msgspec.structs.replace(
        view,
        features=features,
        request={name: column for name, column in view.request.items() if name in read},
        source=view.source if has_history else None,
        ttl=view.ttl if has_history else None,
    )
