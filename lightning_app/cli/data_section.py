"""Data section of a config: makes the data module without model and trainer."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from datamodules import BaseDataModule
from lightning_app.cli.config_errors import check_yaml, with_place
from lightning_app.cli.installed_classes import import_named_classes
from lightning_app.cli.parser import AppParser, FreshArguments
from lightning_app.errors import UsageError, simplify


def read_data(config: str, options: Sequence[str]) -> BaseDataModule:
    """Makes the data module of a config file, with the `--data...` options of a command line.

    Args:
        config: The config file.
        options: Options as `--key=value`, or `--key value`; config files among them come after the first.

    Raises:
        ValueError: There is no data section, or it is wrong.
    """
    pairs = list(zip(["", *options], options, strict=False))
    words = [word for before, word in pairs if _is_data(word) or (_is_data(before) and "=" not in before)]
    files = [config, *(word for before, word in pairs if before in ("-c", "--config"))]
    given_files = [word for file in files for word in ("--config", file)]
    check_yaml(given_files)
    import_named_classes([*given_files, *words])
    sections = [{"data": section} for file in files if (section := _data_section(file)) is not None]
    if not sections and not words:
        raise UsageError(f"config: {config} has no data section")
    parser = AppParser()
    parser.add_subclass_arguments(BaseDataModule, "data")
    parser.add_argument("--config", action="config")
    with tempfile.TemporaryDirectory() as folder:
        given = []
        for number, section in enumerate(sections):
            path = Path(folder) / f"{number}.yaml"
            path.write_text(yaml.safe_dump(section))
            given += ["--config", str(path)]
        try:
            with FreshArguments():
                parsed = parser.parse_args([*given, *words])
            data: BaseDataModule = parser.instantiate_classes(parsed).data
        except ValueError as error:  # raised by a constructor; jsonargparse wraps it into its tree of reasons
            message = str(error) if isinstance(error, UsageError) else simplify(str(error), ())
            raise UsageError(with_place(message, [*given_files, *words])) from error
    return data


def _is_data(word: str) -> bool:
    return word == "--data" or word.startswith(("--data.", "--data=", "--data+="))


def _data_section(file: str) -> Any:
    return (yaml.safe_load(Path(file).read_text()) or {}).get("data")
