"""Public names of `features`."""

import subprocess
import sys

import features


def test_every_public_name_is_there_and_none_is_a_module() -> None:
    kinds = {name: type(getattr(features, name)).__name__ for name in features.__all__}
    assert "module" not in kinds.values(), kinds


def test_definitions_alone_import_neither_polars_nor_numpy() -> None:
    program = "import sys, features.definitions; assert not {'polars', 'numpy', 'torch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
