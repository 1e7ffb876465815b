"""`experiment analyse` against independent computations on journals that the real store wrote."""

import json
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest
from scipy import stats

from lightning_app.__main__ import main
from lightning_app.serving.config.experiment_config import CanaryConfig
from lightning_app.serving.experiments.canary.decide import decide
from lightning_app.serving.experiments.canary.evidence import ArmTotals, Evidence
from lightning_app.serving.experiments.canary.facts import facts_of
from lightning_app.serving.experiments.canary.state import CanaryState
from lightning_app.serving.experiments.store import ArmCounts, Event, ExperimentStore
from lightning_app.serving.journal.arm_count import LATENCY_BOUNDS_MS, ArmCount, latency_bin
from lightning_app.serving.journal.record import Shadow
from lightning_app.serving.journal.stores import open_database, open_store
from lightning_app.serving.journal.stores.side_tables import add_shadows
from tests.lightning_app.serving.experiments.analysis.journals import BEGIN, simulate
from tests.lightning_app.serving.journal.format_1 import make_journal_of_format_1
from tests.lightning_app.serving.journal.records import outcome, prediction


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/journal.db"


def analysed(capsys: pytest.CaptureFixture[str], url: str, *words: str, experiment: str = "price-1") -> Any:
    assert main(["experiment", "analyse", experiment, "--journal", url, "--json", *words]) == 0
    return json.loads(capsys.readouterr().out)


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["experiment", *words]) == 2
    return capsys.readouterr().err


def test_effects_and_policies_are_those_of_an_independent_computation(
    journal_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    url = journal_url
    seen = simulate(url, shares={"champion": 0.7, "large": 0.3}, lifts={"large": 0.2}, rewarded=0.8)
    simulate(url, experiment="other", num_requests=100, seed=5)
    rule = "large if amount > 10 and city == 'Bern' else champion"
    found = analysed(
        capsys, url, "--policy", "large", "--policy", "champion=0.4,large=0.6", "--policy", rule, "--clip", "2"
    )
    rewarded, large = np.isfinite(seen.rewards), seen.arms == "large"
    first, second = seen.rewards[rewarded & large], seen.rewards[rewarded & ~large]
    welch = stats.ttest_ind(first, second, equal_var=False)
    (effect,) = found["effects"]
    assert effect["arm"] == "large"
    assert effect["estimate"] == pytest.approx(first.mean() - second.mean())
    assert effect["interval"] == pytest.approx(list(welch.confidence_interval()), rel=1e-7)
    assert effect["p_value"] == pytest.approx(welch.pvalue, rel=1e-6)
    assert effect["relative"] == pytest.approx(effect["estimate"] / second.mean())
    arms = {arm["arm"]: arm for arm in found["arms"]}
    assert arms["large"]["mean"] == pytest.approx(first.mean())
    assert arms["large"]["deviation"] == pytest.approx(first.std())
    assert arms["champion"]["unrewarded"] == int((~rewarded & ~large).sum())
    assert any(f"{int((~rewarded).sum()):,} of 2,000 judged requests have no reward" in note for note in found["notes"])
    chosen = stats.chisquare([(~large).sum(), large.sum()], [1400, 600])
    assert found["sample_ratio"]["fixed_p_value"] == pytest.approx(chosen.pvalue)

    always, weighted, ruled = found["off_policy"]
    rewards, probabilities, large = seen.rewards[rewarded], seen.probabilities[rewarded], large[rewarded]
    for estimate, share in (
        (always, large.astype(float)),
        (weighted, np.where(large, 0.6, 0.4)),
        (ruled, ((seen.amounts[rewarded] > 10) == large).astype(float)),
    ):
        weights = np.minimum(share / probabilities, 2)
        assert estimate["num_clipped"] == int((share / probabilities > 2).sum())
        assert estimate["ips"]["estimate"] == pytest.approx((weights * rewards).mean())
        scores = weights * rewards
        assert estimate["ips"]["standard_error"] == pytest.approx(scores.std(ddof=1) / np.sqrt(len(scores)))
        assert estimate["snips"]["estimate"] == pytest.approx(scores.sum() / weights.sum())
        assert estimate["effective_size"] == pytest.approx(weights.sum() ** 2 / (weights**2).sum())
    unclipped = analysed(capsys, url, "--policy", rule)["off_policy"][0]
    truth = 1 + 0.5 * (0.2 + 0.05 * 5)  # the lift and the mean excess of the amount, for half of the requests
    for name in ("ips", "snips", "doubly_robust"):
        low, high = unclipped[name]["interval"]
        assert low < truth < high
    assert unclipped["doubly_robust"]["standard_error"] < unclipped["ips"]["standard_error"]
    assert unclipped["left_out"] == 0


def test_keys_make_errors_larger_and_cuped_makes_them_smaller(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each customer has a level of its own, before and during the experiment."""
    import statsmodels.api as sm

    simulate(url, experiment="earlier", shares={"champion": 1.0}, num_entities=300, begin=BEGIN - 2e5, seed=1)
    seen = simulate(url, num_entities=300, lifts={"large": 0.3})
    found = analysed(capsys, url, "--key", "entity", "--output", str(tmp_path / "report"))
    customers = pl.Series(seen.entities).cast(pl.Categorical).to_physical().to_numpy()
    design = sm.add_constant((seen.arms == "large").astype(float))
    groups = {"groups": customers, "use_correction": False}
    fit = sm.OLS(seen.rewards, design).fit(cov_type="cluster", cov_kwds=groups)
    (effect,) = found["effects"]
    assert effect["estimate"] == pytest.approx(fit.params[1])
    assert effect["standard_error"] == pytest.approx(fit.bse[1], rel=0.01)
    assert effect["standard_error"] > 1.5 * analysed(capsys, url, "--key", "request")["effects"][0]["standard_error"]
    cuped = found["cuped"]
    assert cuped["matched"] == cuped["keys"] == len(set(seen.entities))
    assert cuped["effects"][0]["variance_reduction"] > 0.5
    assert cuped["effects"][0]["interval"][0] < 0.3 < cuped["effects"][0]["interval"][1]
    report = (tmp_path / "report" / "report.md").read_text()
    assert "![Effect](effects.png)" in report
    assert "have a value in: rewards of churn in the journal before the experiment" in report

    keys = [f"customer-{number}" for number in range(0, 300, 2)]
    table = pl.DataFrame({"name": keys, "spent": np.random.default_rng(7).standard_normal(300)[::2]})
    for name, write in (("past.csv", table.write_csv), ("past.parquet", table.write_parquet)):
        file = tmp_path / name
        write(file)
        of_file = analysed(capsys, url, "--pre-period", str(file), "--pre-period-columns", "name,spent")["cuped"]
        assert of_file["matched"] == len(set(seen.entities) & set(keys))
        assert of_file["source"] == str(file)


def test_young_requests_wait_and_late_rewards_do_not_count(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    now = time.time()
    store = open_store(url)
    store.write([
        prediction(f"{age}-{place}", experiment="e", arm=("a", "b")[place % 2], probability=0.5, time=now - age,
                   entity=None, num_rows=2)
        for age in (50, 1000) for place in range(200)
    ])  # fmt: skip
    random = np.random.default_rng(0)
    rewards = random.random(200)
    for place in range(150):
        late = msgspec.structs.replace(outcome(f"1000-{place}", None, reward=0.0, row=1), time=now - 100)
        both = [outcome(f"1000-{place}", None, reward=float(rewards[place])), late]
        store.feedback([msgspec.structs.replace(both[0], time=now - 900 if place < 120 else now - 300), late])
    store.feedback([outcome(f"50-{place}", None, reward=1.0) for place in range(50)])
    store.close()
    found = analysed(capsys, url, "--within-seconds", "500", experiment="e")
    first = found["arms"][0]
    assert (first["waiting"], first["judged"], first["unrewarded"], first["rewarded"]) == (100, 100, 40, 60)
    assert first["mean"] == pytest.approx(rewards[0:120:2].mean())
    assert found["late"] == 30
    assert any("30 requests had their first reward too late" in note for note in found["notes"])
    assert any("200 requests are younger than 500 s" in note for note in found["notes"])
    assert any("400 requests have several rows" in note for note in found["notes"])
    filled = analysed(capsys, url, "--within-seconds", "500", "--missing-reward", "0", experiment="e")
    assert filled["arms"][0]["mean"] == pytest.approx(rewards[0:120:2].sum() / 100)
    assert any("80 judged requests without a reward count as 0" in note for note in filled["notes"])
    everything = analysed(capsys, url, experiment="e")
    assert everything["arms"][0]["mean"] == pytest.approx((rewards[0:150:2].sum() / 2 + 25) / 100)


def test_an_experiment_is_analysed_as_it_was_recorded(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    shares = {"control": 0.4, "b": 0.3, "c": 0.3}
    simulate(url, shares=shares, lifts={"b": 0.3}, num_requests=3000)
    database = open_database(url)
    spec = {
        "arms": {"control": None, "c": "churn@4", "b": "churn@3"}, "key": "request",
        "policy": {"kind": "thompson", "missing_is_zero": True}, "reward": {"kind": "continuous", "low": -9, "high": 9},
    }  # fmt: skip
    store = ExperimentStore(database)
    store.create("price-1", model="churn", kind="thompson", spec=spec, state={"settings": {"shares": shares}})
    counts = [0] * (latency_bin(20.0) + 1)
    counts[-1] = 990
    ArmCounts(database).add([
        ArmCount(time=BEGIN, experiment="price-1", worker="w", arm=arm, version=3, probability=0.3, requests=1000,
                 failures=failed, degraded=failed, latencies=counts)
        for arm, failed in (("control", 2), ("b", 30))
    ])  # fmt: skip
    database.close()
    found = analysed(capsys, url)
    assert [arm["arm"] for arm in found["arms"]] == ["control", "c", "b"]
    by_arm = {effect["arm"]: effect for effect in found["effects"]}
    assert by_arm["b"]["holm_p_value"] == pytest.approx(2 * by_arm["b"]["p_value"])
    assert by_arm["b"]["sequence"][0] > 0 > by_arm["c"]["sequence"][0]
    assert found["settings"]["within_seconds"] == 604_800
    assert found["settings"]["missing_reward"] == -9
    guardrail = {one["arm"]: one for one in found["counted_guardrails"]}["b"]
    assert (guardrail["failures"], guardrail["requests"]) == (30, 1000)
    assert guardrail["latencies_ms"]["p50"] == pytest.approx(20, rel=0.1)
    assert guardrail["failures_p_value"] == pytest.approx(
        stats.chi2_contingency([[30, 970], [2, 998]], correction=False).pvalue
    )
    assert main(["experiment", "analyse", "price-1", "--journal", url, "--control", "b"]) == 0
    text = capsys.readouterr().out
    assert "c is worse than b: the confidence sequence excludes 0." in text
    assert "30 (3.00%)" in text
    assert main(["experiment", "list", "--journal", url]) == 0
    assert "control c b" in capsys.readouterr().out
    assert main(["experiment", "show", "price-1", "--journal", url, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["shares"] == shares
    assert [event["kind"] for event in shown["events"]] == ["created"]
    assert main(["experiment", "show", "price-1", "--journal", url]) == 0
    assert "thompson of churn, running since" in capsys.readouterr().out


def test_a_mismatch_of_the_sample_ratio_is_said(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    store = open_store(url)
    store.write([
        prediction(experiment="e", arm="a" if place % 5 else "b", probability=0.5, time=BEGIN + place)
        for place in range(500)
    ])  # fmt: skip
    store.close()
    assert main(["experiment", "analyse", "e", "--journal", url]) == 0
    text = capsys.readouterr().out
    assert "SAMPLE-RATIO MISMATCH" in text
    assert "no effect yet for b: at least 100 keys" in text


def test_a_shadow_is_compared_with_the_answers(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = open_store(url)
    store.write([
        prediction(f"r{place}", answer=b'{"predictions":[{"label":"stays","probability":0.5}]}', latency_ms=2.0)
        for place in range(100)
    ])  # fmt: skip
    store.close()
    database = open_database(url)
    shadows = []
    for place in range(102):
        label = "leaves" if place < 20 else "stays"
        answer = json.dumps({"predictions": [{"label": label, "probability": 0.5 + 0.001 * place}]}).encode()
        shadows.append(
            Shadow(request_id=f"r{place}", time=BEGIN, model="churn", version=8, digest="b" * 64, latency_ms=4.0,
                   answer_type="application/json", answer=None if place == 99 else answer,
                   error="it failed" if place == 99 else None)
        )  # fmt: skip
    add_shadows(database, shadows)
    database.close()
    found = analysed(capsys, url, "--output", str(tmp_path / "report"), experiment="shadow:churn")
    assert found["shadow"]["id"] == "shadow:churn@8"
    assert (found["compared"], found["unmatched"], found["shadow"]["errors"]) == (99, 2, 1)
    assert found["columns"]["label"]["agreement"] == pytest.approx(79 / 99)
    assert found["columns"]["probability"]["mean_difference"] == pytest.approx(0.049)
    assert found["columns"]["probability"]["agreement"] == pytest.approx(6 / 99)  # within 1 %
    assert found["agreement"] == 0
    assert found["latencies_ms"]["shadow"]["p50"] == pytest.approx(4.0, rel=0.02)
    assert {file.name for file in (tmp_path / "report").iterdir()} == {"report.md", "report.json", "differences.png"}
    assert main(["experiment", "list", "--journal", url]) == 0
    assert "shadow:churn@8" in capsys.readouterr().out
    assert "shadow:churn@8" in refused(capsys, "show", "shadow:chrun", "--journal", url)


def test_what_cannot_be_analysed_says_why(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "does not exist; --journal URL names another" in refused(capsys, "list", "--journal", url)
    simulate(url, num_requests=100, rewarded=0.0)
    at = ("--journal", url)
    assert "'prise-1' is unknown, did you mean 'price-1'?" in refused(capsys, "analyse", "prise-1", *at)
    assert "no arm, did you mean 'large'?" in refused(capsys, "analyse", "price-1", *at, "--policy", "larg")
    assert "no arm, did you mean 'large'?" in refused(
        capsys, "analyse", "price-1", *at, "--policy", "larg if amount > 1 else champion"
    )
    assert "the weights sum to 0.9" in refused(capsys, "analyse", "price-1", *at, "--policy", "large=0.9")
    assert "is not allowed" in refused(
        capsys, "analyse", "price-1", *at, "--policy", "large if open('x') else champion"
    )
    assert "arms: champion, large" in refused(capsys, "analyse", "price-1", *at, "--control", "small")
    assert "has a key of its own" in refused(capsys, "analyse", "price-1", *at, "--pre-period", "journal")
    assert "past.csv does not exist" in refused(
        capsys, "analyse", "price-1", *at, "--key", "entity", "--pre-period", str(tmp_path / "past.csv")
    )
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    assert "full exists; give a new folder" in refused(
        capsys, "analyse", "price-1", *at, "--output", str(tmp_path / "full")
    )
    found = analysed(capsys, url, "--output", str(tmp_path / "report"))
    assert found["effects"] == []
    assert "100 of 100 judged requests have no reward" in found["notes"][0]
    without = analysed(capsys, url, "--policy", "large")
    assert without["off_policy"] == []
    assert any("policy always large: nothing can be estimated" in note for note in without["notes"])
    for words, says in (
        (["--clip", "3"], "given without --policy"),
        (["--pre-period-columns", "a,b"], "given without a file"),
        (["--within-seconds", "-1"], "a number of at least 0"),
        (["--missing-reward", "0"], "--within-seconds says how long"),
    ):
        assert says in refused(capsys, "analyse", "price-1", *at, *words)
    assert "a shadow has no rewards" in refused(capsys, "analyse", "shadow:churn", *at, "--policy", "large")
    simulate(url, experiment="alone", shares={"champion": 1.0}, num_requests=200)
    alone = analysed(capsys, url, "--policy", "champion", "--output", str(tmp_path / "alone"), experiment="alone")
    assert (alone["effects"], alone["sample_ratio"]["p_value"]) == ([], 1.0)
    assert "200 rewarded requests had no other arm to go to" in alone["notes"][0]
    assert main(["experiment", "analyse", "price-1", *at]) == 0
    old = f"sqlite:///{tmp_path}/old.db"
    make_journal_of_format_1(old)
    assert main(["experiment", "list", "--journal", old]) == 0
    assert "no experiments in this journal" in capsys.readouterr().out
    assert "this journal has no experiments" in refused(capsys, "analyse", "price-1", "--journal", old)


def test_a_linear_policy_is_judged_by_its_shares(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The draws agree that the arm is better above an amount of 10: a rule in disguise, with a floor."""
    seen = simulate(url, lifts={"large": 0.2})
    state = {
        "columns": ["amount"], "means": [10.0], "scales": [2.0], "floor": 0.1,
        "draws": {"champion": [[0.0, 0.0]] * 8, "large": [[0.0, 1.0]] * 8},
    }  # fmt: skip
    (tmp_path / "linear.json").write_text(json.dumps(state))
    (found,) = analysed(capsys, url, "--policy", str(tmp_path / "linear.json"))["off_policy"]
    share = np.where((seen.amounts > 10) == (seen.arms == "large"), 0.9, 0.1)
    assert found["ips"]["estimate"] == pytest.approx((share / 0.5 * seen.rewards).mean())
    (tmp_path / "linear.json").write_text(json.dumps(state | {"draws": {"other": [[0.0, 0.0]]}}))
    assert "arms that the experiment lacks: other" in refused(
        capsys, "analyse", "price-1", "--journal", url, "--policy", str(tmp_path / "linear.json")
    )


def test_requests_of_a_session_belong_together(journal_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A session is one of its API key, and stands in the query."""
    store = open_store(journal_url)
    store.write([
        prediction(f"r{place}", experiment="e", arm=("a", "b")[place % 160 % 2], probability=0.5, entity=None,
                   time=BEGIN + place, query=f"at=5&session=s{place % 160}" if place % 3 else f"session=s{place % 160}",
                   key_id=("k1", "k2")[place // 160 % 2])
        for place in range(1600)
    ] + [prediction("alone", experiment="e", arm="a", probability=0.5, query="sessions=s1", time=BEGIN)])  # fmt: skip
    store.feedback([outcome(f"r{place}", None, reward=float(place % 160)) for place in range(1600)])
    store.close()
    found = analysed(capsys, journal_url, "--key", "session", experiment="e")
    assert found["sample_ratio"]["units"] == {"a": 161, "b": 160}
    assert any("1 requests have no session" in note for note in found["notes"])
    error = np.arange(160).reshape(80, 2).std(axis=0).mean() / np.sqrt(160) * np.sqrt(2)
    assert found["effects"][0]["standard_error"] == pytest.approx(error, rel=0.01)


@pytest.mark.usefixtures("rendered")
def test_a_canary_is_drawn_with_its_evidence(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = CanaryConfig()
    state = CanaryState(model="churn", registered="churn", version=7, digest="b", champion=6, champion_digest="a",
                        started=BEGIN, step_started=BEGIN)  # fmt: skip
    events = []
    for number in range(1, 5):
        requests = {
            ("challenger", 0.01): ArmTotals(10 * number, 4 * number, [0] * 5 + [6 * number]),
            ("champion", 0.99): ArmTotals(990 * number, 0, [0] * 5 + [990 * number]),
        }
        evidence = Evidence(requests=requests, bounds=LATENCY_BOUNDS_MS)
        look = decide(config, state, evidence, now=BEGIN + 60 * number)
        state = look.state
        facts = facts_of(config, look, evidence)
        verdict = {} if state.verdict is None else msgspec.to_builtins(state.verdict)
        events.append(Event(kind="verdict" if verdict else "look", facts=facts | verdict))
    assert state.verdict is not None
    store = ExperimentStore(open_database(url))
    name = "canary:churn@7:1"
    content = msgspec.to_builtins(state)
    store.create(name, model="churn", kind="canary", spec=msgspec.to_builtins(config), state=content)
    row = store.get(name)
    assert row is not None
    assert store.update(row, state=content, status="rolled_back", reason="errors", events=events)
    simulate(url, experiment=name, shares={"champion": 0.9, "challenger": 0.1}, num_requests=500)
    found = analysed(capsys, url, "--output", str(tmp_path / "report"), experiment=name)
    assert found["status"] == "rolled_back"
    assert [arm["arm"] for arm in found["arms"]] == ["champion", "challenger"]
    assert (tmp_path / "report" / "canary.png").stat().st_size > 10_000
    assert "![Steps](canary.png)" in (tmp_path / "report" / "report.md").read_text()
    assert main(["experiment", "show", name, "--journal", url]) == 0
    assert "verdict" in capsys.readouterr().out


def test_an_arm_whose_alias_has_moved_is_said(journal_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    open_store(journal_url).write([
        prediction(
            experiment="e", arm="b" if place % 2 else "a", probability=0.5, time=BEGIN + place,
            version=None if place < 2 else 3 + place // 7, digest=f"{place // 7}" * 64,
            degraded="timeout" if place == 11 else None,
        )
        for place in range(12)
    ])  # fmt: skip
    notes = analysed(capsys, journal_url, experiment="e")["notes"]
    several = [note.partition(";")[0] for note in notes if "several versions" in note]
    assert several == [
        f"a was answered by several versions: {'0' * 12} (1), 3 (3), 4 (2)",
        f"b was answered by several versions: {'0' * 12} (1), 3 (2), 4 (2)",
    ]
