"""Import hook: this distribution's packages take precedence over a user's packages of the same name.

`models`, `datamodules`, `callbacks` and `sweeps` are top-level packages of this distribution. A folder of the same name
in the user's working directory would otherwise shadow them on `sys.path`. With the hook, our packages are imported
first; a submodule that they lack (`models.mynet`) is then looked up in the user's folder, and last among the modules
that moved (`moved_modules`).
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

OWN_PACKAGES = ("models", "datamodules", "callbacks", "sweeps", "features")
ROOT = Path(__file__).resolve().parent.parent


class OwnPackagesFirst(MetaPathFinder):
    """Meta path finder that resolves our packages to our own folder regardless of the order of `sys.path`.

    Submodules that our packages lack are searched in the user's package of the same name.
    """

    def __init__(self) -> None:
        self._warned: set[Path] = set()

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """Finds the spec of one of our packages or of a submodule; None for any other module."""
        top, *inner = fullname.split(".")
        if top == "lightning_app":
            return moved_spec(fullname)
        if top not in OWN_PACKAGES:
            return None
        if not inner:
            return PathFinder.find_spec(fullname, [str(ROOT)])
        return PathFinder.find_spec(fullname, path) or self._of_user(fullname) or moved_spec(fullname)

    def _of_user(self, fullname: str) -> ModuleSpec | None:
        parents = fullname.split(".")[:-1]
        for folder in folders_of_user(parents[0]):
            spec = PathFinder.find_spec(fullname, [str(folder.joinpath(*parents[1:]))])
            if spec is not None:
                self._warn_of_hidden_files(folder, fullname)
                return spec
        return None

    def _warn_of_hidden_files(self, folder: Path, fullname: str) -> None:
        hidden = _hidden_files(folder)
        if folder in self._warned or not hidden or os.environ.get("LOCAL_RANK", "0") != "0":
            return
        self._warned.add(folder)
        print(  # noqa: T201
            f"warning: {fullname} is taken from {folder}; not used from there, because lightning_app has its own: "
            f"{', '.join(hidden)}. Rename them, or your folder, if you need them",
            file=sys.stderr,
        )


def _hidden_files(folder: Path) -> list[str]:
    """Modules of a user's package that cannot be imported because ours has a module of the same name."""
    ours = ROOT / folder.name
    hidden = []
    for path in sorted(folder.iterdir()):
        is_code = (path.suffix == ".py" and path.stat().st_size > 0) or (path.is_dir() and path.name != "__pycache__")
        if is_code and ((ours / f"{path.stem}.py").exists() or (ours / path.stem).is_dir()):
            hidden.append(f"{folder.name}/{path.name}")
    return hidden


def folders_of_user(package: str) -> list[Path]:
    """Finds folders on `sys.path` that have the name of one of our packages, without our own.

    Args:
        package: One of `OWN_PACKAGES`.
    """
    candidates = (Path(entry or ".").absolute() / package for entry in sys.path)
    return [folder for folder in dict.fromkeys(candidates) if folder.is_dir() and folder.resolve() != ROOT / package]


def advice_on_ambiguous(name: str) -> str:
    """Advice for a class path that may mean our package or the user's package of the same name.

    Args:
        name: Class path that could not be imported, e.g. `models.Net`.

    Returns:
        One sentence, or an empty string if the path is not ambiguous.
    """
    top, _, inner = name.partition(".")
    if top not in OWN_PACKAGES:
        return ""
    folders = folders_of_user(top)
    if folders:
        class_name = inner.rpartition(".")[2]
        return (
            f"{top} is lightning_app's own package; of your folder {folders[0]}, only files that have no namesake in "
            f"it can be imported: give {top}.<file>.{class_name}, or rename your folder"
        )
    file = next((path for entry in sys.path if (path := Path(entry or ".").absolute() / f"{top}.py").is_file()), None)
    return "" if file is None else f"{top} is lightning_app's own package, which hides {file}: rename your file"


def install() -> None:
    """Puts the finder first in `sys.meta_path`; repeated calls have no effect.

    Raises:
        ImportError: A user's package has already been imported under one of our names.
    """
    for name in OWN_PACKAGES:
        module = sys.modules.get(name)
        if module is not None and not _is_ours(module, name):
            where = getattr(module, "__file__", None) or list(getattr(module, "__path__", ()))
            raise ImportError(
                f"{name!r} is already imported from {where}, and lightning_app has a package of that name: import "
                "lightning_app first (yours is then imported by its files, e.g. models.mynet), or rename yours"
            )
    if not any(isinstance(finder, OwnPackagesFirst) for finder in sys.meta_path):
        sys.meta_path.insert(0, OwnPackagesFirst())


def _is_ours(module: ModuleType, name: str) -> bool:
    file = getattr(module, "__file__", None)
    return file is not None and Path(file).resolve().parent == ROOT / name


@contextmanager
def working_folder() -> Iterator[None]:
    """Adds the working directory to `sys.path` for the duration of the block, except under `python -P`."""
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
