from pathlib import Path

import pytest

from lightning_app.errors import UsageError
from lightning_app.monitoring.config.monitor_config import read_monitor_config

BAD = {
    "models: [{model: bikes, windw: 7d}]": "unknown field `windw` - at `$.models[0]`; did you mean 'window'?",
    "models: [{model: bikes, window: 1 week}]": "bikes: window: '1 week' is no duration",
    "models: [{model: bikes, window: 1h, every: 1d}]": "needed: every <= window <= history",
    "models: [{model: bikes, every: 1m, history: 28d}]": "more than 1,000 windows",
    "models: [{model: bikes}, {model: bikes}]": "bikes is there twice",
    "refresh: soon": "refresh: 'soon' is no duration",
    "most_rows: 0": "most_rows",
}


@pytest.mark.parametrize("text", BAD)
def test_what_is_wrong_in_a_file_is_named(text: str, tmp_path: Path) -> None:
    file = tmp_path / "monitor.yaml"
    file.write_text(text)
    with pytest.raises(UsageError) as error:
        read_monitor_config(file)
    assert BAD[text].partition(" - ")[0] in str(error.value)
