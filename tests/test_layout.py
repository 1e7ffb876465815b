"""Layout of the code: what may lie where, and which names stay inside their package."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("lightning_app", "models", "datamodules", "callbacks", "sweeps", "features")
MODULES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
MAX_MODULES = 20
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "manager"}


@pytest.fixture(scope="module")
def trees() -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text()) for path in MODULES}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


def package_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).parts[:-1])


def imported_names(nodes: list[ast.AST]) -> Iterator[tuple[str, str]]:
    """Module and name of each import from one of our packages; relative imports are banned by ruff."""
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in PACKAGES:
            yield from ((str(node.module), alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.split(".")[0] in PACKAGES]
            yield from ((name, "") for name in names)


def private_attributes(nodes: list[ast.AST]) -> Iterator[tuple[str, str]]:
    """Module and name of each `module._name`, where `module` was imported from one of our packages."""
    modules = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in nodes
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in PACKAGES
        for alias in node.names
        if (ROOT / f"{node.module}.{alias.name}".replace(".", "/")).with_suffix(".py").exists()
    }
    for node in nodes:
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
            yield modules[node.value.id], node.attr


def test_no_private_name_of_a_package_is_used_by_another(trees: dict[Path, ast.Module]) -> None:
    kinds = (ast.ImportFrom, ast.Import, ast.Attribute)
    read = {path: [node for node in ast.walk(tree) if isinstance(node, kinds)] for path, tree in trees.items()}
    crossings = [
        f"{path.relative_to(ROOT)}: {module}.{name}".rstrip(".")
        for path, nodes in read.items()
        for module, name in (*imported_names(nodes), *private_attributes(nodes))
        if any(is_private(part) for part in (*module.split("."), name))
        and package_of(path) != module
        and package_of(path) != module.rpartition(".")[0]
    ]
    assert crossings == []


def test_no_folder_has_more_modules_than_a_reader_can_scan() -> None:
    folders = [folder for package in PACKAGES for folder in ((ROOT / package), *(ROOT / package).rglob("*/"))]
    counts = {str(folder.relative_to(ROOT)): len(list(folder.glob("*.py"))) for folder in folders}
    assert {folder: count for folder, count in counts.items() if count > MAX_MODULES} == {}


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert [str(path.relative_to(ROOT)) for path in MODULES if path.stem in VAGUE_NAMES] == []


def test_each_module_says_what_it_is(trees: dict[Path, ast.Module]) -> None:
    assert [str(path.relative_to(ROOT)) for path, tree in trees.items() if not ast.get_docstring(tree)] == []
