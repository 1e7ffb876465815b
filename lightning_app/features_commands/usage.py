"""Usage of features: which packages carry them, in folders or in the registry."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from features.definitions import Definitions
from features.rows import required_features
from lightning_app.errors import UsageError
from lightning_app.packaging.format.manifest import Manifest

_MANIFEST = "manifest.json"


def packages_in(paths: Iterable[Path]) -> dict[str, Path]:
    """Folders of packages by the name to show.

    Args:
        paths: Packages, or folders with packages in them.

    Raises:
        UsageError: A path holds none.
    """
    found: dict[str, Path] = {}
    for path in paths:
        folders = [path] if (path / _MANIFEST).is_file() else sorted(file.parent for file in path.rglob(_MANIFEST))
        if not folders:
            raise UsageError(f"packages: {path} is no package, and none is in it")
        found |= {str(folder): folder for folder in folders}
    return found


def registered_packages(address: str) -> dict[str, Path]:
    """Folders of all versions of a registry, as `name@version`.

    Args:
        address: Address of the registry.
    """
    from lightning_app.registry import Registry

    registry = Registry(address)
    names = [f"{name}@{version.record.number}" for name in registry.names() for version in registry.versions(name)]
    return {name: registry.resolve(name).path for name in names}


def usage(definitions: Definitions, packages: Mapping[str, Path]) -> tuple[dict[str, list[str]], list[str]]:
    """Packages that carry each feature; those whose definition of it differs say so.

    Args:
        definitions: The definitions.
        packages: Folders of packages by name.

    Returns:
        used_by: Full name of a feature to the packages that read it.
        without: Packages that carry no definitions of features.
    """
    used_by: dict[str, list[str]] = {}
    without: list[str] = []
    for name, folder in packages.items():
        spec = Manifest.read(folder).raw_input
        content = None if spec is None else msgspec.json.decode((folder / spec.file).read_bytes())
        if not isinstance(content, dict) or not {"definitions", "features"} <= content.keys():
            without.append(name)
            continue
        theirs = Definitions.from_data(content["definitions"], name=f"{name}: {_MANIFEST}")
        for full in required_features(theirs, content["features"]):
            same = full in definitions.select() and _meaning(theirs, full) == _meaning(definitions, full)
            used_by.setdefault(full, []).append(name if same else f"{name} (another definition)")
    return used_by, without


def _meaning(definitions: Definitions, full: str) -> object:
    """A feature without the texts that are for people."""
    return msgspec.structs.replace(definitions.feature(full), description="", unit="")
