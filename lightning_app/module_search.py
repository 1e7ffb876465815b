"""Module search: packages of ours with short names come first, modules of the working folder beside them.

`models`, `datamodules`, `callbacks` and `sweeps` are top-level packages of this distribution. A user's own folder of
such a name, earlier on `sys.path`, would be imported in their place. Here ours are found first, and a submodule that
ours lack (`models.mynet`) is looked for in the user's folder, then among ours that have moved.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

from lightning_app.moved_modules import moved_spec

OWN_PACKAGES = ("models", "datamodules", "callbacks", "sweeps")
ROOT = Path(__file__).resolve().parent.parent


class OwnPackagesFirst(MetaPathFinder):
    """Finds our packages in our own folder, whatever `sys.path` says, and the user's submodules after ours."""

    def __init__(self) -> None:
        self._told: set[Path] = set()

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """The spec of one of our packages or of a submodule; None for anything else."""
        top, *inner = fullname.split(".")
        if top not in OWN_PACKAGES:
            return None
        if not inner:
            return PathFinder.find_spec(fullname, [str(ROOT)])
        return PathFinder.find_spec(fullname, path) or self._of_user(fullname) or moved_spec(fullname)

    def _of_user(self, fullname: str) -> ModuleSpec | None:
        parents = fullname.split(".")[:-1]
        for folder in folders_of_user(parents[0]):
            found = PathFinder.find_spec(fullname, [str(folder.joinpath(*parents[1:]))])
            if found is not None:
                self._tell(folder, fullname)
                return found
        return None

    def _tell(self, folder: Path, fullname: str) -> None:
        hidden = _hidden_files(folder)
        if folder in self._told or not hidden or os.environ.get("LOCAL_RANK", "0") != "0":
            return
        self._told.add(folder)
        print(  # noqa: T201
            f"warning: {fullname} is taken from {folder}; not used from there, because lightning_app has its own: "
            f"{', '.join(hidden)}. Rename them, or your folder, if you need them",
            file=sys.stderr,
        )


def _hidden_files(folder: Path) -> list[str]:
    """Files and folders of a user's package that ours of the same name hide."""
    ours = ROOT / folder.name
    hidden = []
    for path in sorted(folder.iterdir()):
        is_code = (path.suffix == ".py" and path.stat().st_size > 0) or (path.is_dir() and path.name != "__pycache__")
        if is_code and ((ours / f"{path.stem}.py").exists() or (ours / path.stem).is_dir()):
            hidden.append(f"{folder.name}/{path.name}")
    return hidden


def folders_of_user(package: str) -> list[Path]:
    """Folders on `sys.path` that have the name of one of our packages and are not ours.

    Args:
        package: One of `OWN_PACKAGES`.
    """
    found = (Path(entry or ".").absolute() / package for entry in sys.path)
    return [folder for folder in dict.fromkeys(found) if folder.is_dir() and folder.resolve() != ROOT / package]


def advice_on_ambiguous(name: str) -> str:
    """What to do where a class was named under a package of ours, and the user has a folder or file of that name.

    Args:
        name: Path of the class, `models.Net`.

    Returns:
        One sentence; empty where nothing is ambiguous.
    """
    top, _, inner = name.partition(".")
    if top not in OWN_PACKAGES:
        return ""
    folders = folders_of_user(top)
    if folders:
        class_name = inner.rpartition(".")[2]
        return (
            f"{top} is lightning_app's own package, of yours, {folders[0]}, only files are seen that have no namesake "
            f"in it: give {top}.<file>.{class_name}, or rename your folder"
        )
    file = next((path for entry in sys.path if (path := Path(entry or ".").absolute() / f"{top}.py").is_file()), None)
    return "" if file is None else f"{top} is lightning_app's own package, which hides {file}: rename your file"


def install() -> None:
    """Puts the finder in front of all others, once.

    Raises:
        ImportError: A package of a user was already imported under one of our names.
    """
    for name in OWN_PACKAGES:
        module = sys.modules.get(name)
        if module is not None and not _is_ours(module, name):
            where = getattr(module, "__file__", None) or list(getattr(module, "__path__", ()))
            raise ImportError(
                f"{name!r} is already imported from {where}, and lightning_app has a package of that name: import "
                "lightning_app first (yours is then found by its files, e.g. models.mynet), or rename yours"
            )
    if not any(isinstance(finder, OwnPackagesFirst) for finder in sys.meta_path):
        sys.meta_path.insert(0, OwnPackagesFirst())


def _is_ours(module: ModuleType, name: str) -> bool:
    file = getattr(module, "__file__", None)
    return file is not None and Path(file).resolve().parent == ROOT / name


@contextmanager
def working_folder() -> Iterator[None]:
    """Modules of the working folder can be imported meanwhile, as under `python -m`; not where Python is told `-P`."""
    here = str(Path.cwd())
    known = {str(Path(entry or ".").absolute()) for entry in sys.path}
    if sys.flags.safe_path or here in known:
        yield
        return
    sys.path.insert(0, here)
    try:
        yield
    finally:
        if here in sys.path:
            sys.path.remove(here)
