"""An online store that hangs, or is gone: refused, or answered with defaults or by the fallback, waited for once."""

import hashlib
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest
from msgspec.structs import replace as replace_struct

from features.definitions import Definitions
from features.store import materialize, open_store
from lightning_app.packaging import Package
from lightning_app.packaging.format.manifest import Manifest
from lightning_app.packaging.runtime.raw_kinds.features_input import FeaturesInput
from tests.families import TrainedFamily
from tests.lightning_app.serving.server import RunningWorker, resolved, running_worker
from tests.redis_server import needs_redis, redis_server

ROW = {"shop": "a", "price": 1.5, "stock": 60.0, "weather": "sun"}
ASKED = {"records": [ROW]}
AT = "?at=2024-05-02T06:30:00"
DEFAULTS = {"last_sold": 11.0, "sold_of_week": 12.5}
pytestmark = needs_redis


def with_defaults(package: Path, folder: Path, defaults: dict[str, float]) -> Path:
    """The same package, whose features of history have defaults."""
    shutil.copytree(package, folder)
    raw = Package.load(package).predictor.raw_input
    assert isinstance(raw, FeaturesInput)
    definitions = msgspec.to_builtins(raw.pipeline.definitions)
    for name, value in defaults.items():
        definitions["views"]["past"]["features"][name]["default"] = value
    changed = msgspec.convert(definitions, Definitions)
    assert raw.pipeline.fitted is not None
    fitted = replace_struct(raw.pipeline.fitted, digest=changed.digest)
    text = replace_struct(raw.pipeline, definitions=changed, fitted=fitted).to_json()
    (folder / "features.json").write_bytes(text)
    manifest = Manifest.from_json((folder / "manifest.json").read_bytes())
    assert manifest.files is not None
    entry = replace(manifest.files["features.json"], sha256=hashlib.sha256(text).hexdigest(), bytes=len(text))
    manifest = replace(manifest, files={**manifest.files, "features.json": entry})
    (folder / "manifest.json").write_bytes(manifest.to_json())
    return folder


@dataclass
class Served:
    worker: RunningWorker
    redis: "subprocess.Popen[bytes]"
    output: str

    def ask(self, model: str) -> tuple[Any, float]:
        """Response of a model, and the seconds that it took."""
        begin = time.monotonic()
        response = self.worker.client.post(f"/models/{model}/predict{AT}", json=ASKED)
        return response, time.monotonic() - begin


@pytest.fixture(scope="module")
def served(family: Callable[[str], TrainedFamily], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One model of a Redis store under three names: refuse, defaults and fallback."""
    shops = family("tabular")
    folder = tmp_path_factory.mktemp("store")
    package = with_defaults(shops.package, folder / "p", DEFAULTS)
    loaded = Package.load(package)
    raw = loaded.predictor.raw_input
    assert isinstance(raw, FeaturesInput)
    output = loaded.manifest.outputs[0].name
    with redis_server() as (url, process):
        store = open_store(url)
        list(materialize(raw.pipeline.definitions, store, tables={"sales": pl.read_csv(shops.folder / "shops.csv")}))
        store.close()
        common = {"model": str(package), "store": url, "store_timeout_ms": 300}
        models = [
            {**common, "name": "refuse"},
            {**common, "name": "defaults", "store_down": "defaults"},
            {**common, "name": "fallback", "store_down": "fallback", "fallback": [{"constant": {output: 9.0}}]},
        ]
        listed = [resolved(package, name) for name in ("refuse", "defaults", "fallback")]
        with running_worker(folder / "w", listed, config={"models": models}) as worker:
            yield Served(worker, process, output)


def test_a_store_that_hangs_is_waited_for_once_and_answers_again_by_itself(served: Served) -> None:
    before = {name: served.ask(name)[0].json()["predictions"] for name in ("refuse", "defaults", "fallback")}
    served.redis.send_signal(signal.SIGSTOP)
    try:
        for name in before:
            _, seconds = served.ask(name)
            assert seconds < 1.5  # the timeout, and whatever else runs here
        times = []
        for _ in range(20):
            response, seconds = served.ask("refuse")
            times.append(seconds)
            assert (response.status_code, response.json()["error"]["code"]) == (503, "store_down")
            assert response.headers["retry-after"] == "1"
            response, seconds = served.ask("defaults")
            times.append(seconds)
            answer = response.json()
            assert answer["degraded"] == response.headers["x-degraded"] == "store_defaults"
            assert answer["notes"][-1] == "degraded: the online store is down, its features have their default values"
            assert not any("never seen" in note for note in answer["notes"])
            assert answer["predictions"] != before["defaults"]
            answer, seconds = served.ask("fallback")[0].json(), served.ask("fallback")[1]
            times.append(seconds)
            assert (answer["degraded"], answer["predictions"]) == ("store", [{served.output: 9.0}])
        assert sorted(times)[len(times) // 2] < 0.1
    finally:
        served.redis.send_signal(signal.SIGCONT)
    end = time.monotonic() + 20
    for name, predictions in before.items():
        while (response := served.ask(name)[0]).status_code != 200 or "degraded" in response.json():
            assert time.monotonic() < end, response.text
            time.sleep(0.1)
        assert response.json()["predictions"] == predictions


def test_defaults_are_those_of_the_definitions(served: Served, tmp_path: Path) -> None:
    served.redis.send_signal(signal.SIGKILL)
    served.redis.wait()
    for _ in range(3):
        response, seconds = served.ask("defaults")
        answer = response.json()
        assert (response.status_code, answer["degraded"]) == (200, "store_defaults")
        assert seconds < 1
        assert served.ask("refuse")[0].status_code == 503
        assert served.ask("fallback")[0].json()["predictions"] == [{served.output: 9.0}]
    package = Package.load(served.worker.folder.parent / "p")
    raw = package.predictor.raw_input
    assert isinstance(raw, FeaturesInput)
    log = pl.DataFrame({"date": ["2024-04-30", "2024-05-01"], "shop": ["a", "a"], "sold": [14.0, 11.0]})
    store = open_store(tmp_path / "features.db")  # with the history of which the defaults are the features
    list(materialize(raw.pipeline.definitions, store, tables={"sales": log}))
    expected = package.with_store(store).predict(pl.DataFrame([ROW]), at=datetime(2024, 5, 2, 6, 30))
    assert answer["predictions"][0][served.output] == pytest.approx(expected[served.output][0], rel=1e-5)


def test_features_without_a_default_are_named_at_the_start(
    family: Callable[[str], TrainedFamily], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    package = with_defaults(family("tabular").package, tmp_path / "p", {"last_sold": 1.0})
    model = {"store": "redis://127.0.0.1:1/0", "store_down": "defaults"}
    with (
        pytest.raises(AssertionError, match="ended with"),
        running_worker(tmp_path / "w", [("m", package)], model_config=model) as worker,
    ):
        worker.event()
    assert "past.sold_of_week has no default in the definitions" in capfd.readouterr().err
