"""The policy file: what it allows, what it refuses, and the shipped file that shows every key."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from lightning_app.config.shipped_configs import SHIPPED
from lightning_app.errors import UsageError
from lightning_app.retraining.config.policy import read_policy

SHOWN = SHIPPED / "retraining" / "retrain.yaml"
NEEDED = {"model": "bikes", "data": {"outcome": "rentals"}, "training": {"config": "tabular/bike_sharing"}}


def keys(content: dict[str, Any], place: str = "") -> Iterator[str]:
    for name, value in content.items():
        yield place + name
        if isinstance(value, dict) and name not in ("overrides", "executor"):
            yield from keys(value, f"{place}{name}.")


def written(folder: Path, **changes: Any) -> Path:
    """A policy file with other values of some keys, `part__key=value`."""
    content = {name: dict(part) if isinstance(part, dict) else part for name, part in NEEDED.items()}
    for key, value in changes.items():
        part, _, name = key.rpartition("__")
        (content.setdefault(part, {}) if part else content)[name] = value  # type: ignore[index]
    path = folder / "retrain.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_the_shipped_file_shows_every_key_with_its_default(tmp_path: Path) -> None:
    shown = read_policy(SHOWN)
    assert shown == read_policy(written(tmp_path))
    assert set(keys(yaml.safe_load(SHOWN.read_text()))) == set(keys(msgspec.to_builtins(shown)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data__outcom": "y"}, "outcom.*did you mean.*outcome"),
        ({"data__mature_after": "7 days"}, "data.mature_after: '7 days' is no duration"),
        ({"limits__back_off": "0d"}, "limits.back_off: '0d' is no duration"),
        ({"gate__alpha": 1.5}, r"Expected `float` < 1.0.*gate.alpha"),
        ({"model": "a@3"}, "a@3"),
        ({"training__executor": {"kind": "cluster"}}, "cluster"),
        ({"training__overrides": {"data.init_args.rows": "x.csv"}}, "training.overrides: data.init_args.rows"),
        ({"training__start": "warm", "training__sweep": {"space": "s.yaml"}}, "training.start: warm given together"),
        ({"triggers__drift": {"windows": 2}}, "triggers.drift: needs the file of the monitoring"),
        ({"rollout__canary": {"step": 1}}, "step"),
    ],
)
def test_a_wrong_policy_is_refused_by_the_name_of_its_key(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        read_policy(written(tmp_path, **changes))


def test_a_policy_without_what_is_needed_says_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "retrain.yaml"
    path.write_text("model: bikes\n")
    with pytest.raises(UsageError, match="missing required field `data`"):
        read_policy(path)
