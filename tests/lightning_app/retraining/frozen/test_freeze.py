from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lightning_app.retraining.config.policy import MinimumRows
from lightning_app.retraining.frozen import BrokenContractError, FreezeError, TooFewRowsError, freeze, read_frozen_set
from lightning_app.retraining.frozen.frozen_set import AVAILABLE, EVENT
from tests.lightning_app.retraining.frozen.journals import DAY, HOUR, START, asked, hourly, journal, learned, policy

CUT = START + 10 * DAY


@pytest.fixture(autouse=True)
def _in_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_latest_mature_rows_judge_and_training_labels_were_final_before_them(tmp_path: Path) -> None:
    frozen = freeze(policy(), reader=hourly(240, without={5}), cut=CUT, folder=tmp_path / "frozen")
    train, evaluation = pl.read_parquet(frozen.train), frozen.evaluation_rows()
    assert {"hour", "temp", "rentals", "journal.request_id", EVENT, AVAILABLE} <= set(train.columns)
    # 240 hours: the last day is not mature; two days judge; a day of embargo before them.
    assert frozen.manifest.left_out == {
        "mature without outcome": 1,
        "not mature": 1,
        "not mature, with outcome": 22,
        "embargo before the evaluation": 24,
    }
    assert evaluation["rentals"].to_list() == list(range(169, 217))
    assert train["rentals"].to_list() == [number for number in range(145) if number != 5]
    assert train[AVAILABLE].max() < evaluation[EVENT].min()  # type: ignore[operator]
    assert frozen.context_rows()["rentals"].to_list()[-1] == 168
    facts = frozen.manifest.tables["train.parquet"]
    assert facts.file.rows == 144
    assert facts.event.first == START
    assert facts.mature.last == START + 144 * HOUR + DAY
    assert facts.versions == {"3": 144}


def test_the_same_inputs_have_the_same_digest_and_a_frozen_set_is_never_changed(tmp_path: Path) -> None:
    reader = hourly(240)
    first = freeze(policy(), reader=reader, cut=CUT, folder=tmp_path / "a")
    second = freeze(policy(), reader=reader, cut=CUT, folder=tmp_path / "b")
    assert first.digest == second.digest
    assert (tmp_path / "a/manifest.json").read_bytes() == (tmp_path / "b/manifest.json").read_bytes()
    again = freeze(policy(), reader=reader, cut=CUT, folder=tmp_path / "a")
    assert again.digest == first.digest
    other = freeze(policy(), reader=reader, cut=CUT - HOUR, folder=tmp_path / "c")
    assert other.digest != first.digest
    with pytest.raises(FreezeError, match="another cut or policy"):
        freeze(policy(mature_after="2d"), reader=reader, cut=CUT, folder=tmp_path / "a")
    path = tmp_path / "b/train.parquet"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(FreezeError, match=r"train.parquet was changed"):
        read_frozen_set(tmp_path / "b")


def test_a_label_that_is_corrected_mid_cycle_appends_and_changes_nothing_frozen(tmp_path: Path) -> None:
    reader = hourly(240)
    corrections = pl.DataFrame({"request_id": ["r00003", "r00004", "r99999"], "row": [0, 0, 0], "rentals": [-3, -4, 1]})
    before = freeze(policy(), reader=reader, cut=CUT, folder=tmp_path / "a")
    late = corrections.with_columns(outcome_time=pl.from_epoch(pl.lit(CUT + HOUR)).dt.replace_time_zone("UTC"))
    late.write_parquet("late.parquet")
    after = freeze(policy(history=("late.parquet",)), reader=reader, cut=CUT, folder=tmp_path / "b")
    assert after.evaluation_data() == before.evaluation_data()
    assert pl.read_parquet(after.train).equals(pl.read_parquet(before.train))
    early = corrections.with_columns(outcome_time=pl.from_epoch(pl.lit(START + 9 * HOUR)).dt.replace_time_zone("UTC"))
    early.write_parquet("early.parquet")
    corrected = freeze(policy(history=("early.parquet",)), reader=reader, cut=CUT, folder=tmp_path / "c")
    assert pl.read_parquet(corrected.train)["rentals"].to_list()[:6] == [0, 1, 2, -3, -4, 5]
    assert corrected.manifest.corrected == 2
    assert corrected.manifest.left_out["duplicate"] == 2
    assert corrected.manifest.left_out["outcome of an unknown request"] == 1
    corrections.write_parquet("undated.parquet")
    undated = freeze(policy(history=("undated.parquet",)), reader=reader, cut=CUT, folder=tmp_path / "d")
    assert pl.read_parquet(undated.train)["rentals"].to_list()[:6] == [0, 1, 2, -3, -4, 5]
    assert undated.manifest.corrected == 2


def test_history_tables_come_before_the_journal_and_types_that_differ_are_said(tmp_path: Path) -> None:
    rows = pl.DataFrame(
        {"hour": [1, 2], "temp": ["warm", "cold"], "rentals": [7.5, 8.5], "time": ["2025-12-30", "2025-12-31"]}
    )
    rows.write_csv("history.csv")
    frozen = freeze(policy(history=("history.csv",)), reader=hourly(240), cut=CUT, folder=tmp_path / "a")
    train = pl.read_parquet(frozen.train)
    assert train["rentals"].to_list()[:3] == [7.5, 8.5, 0.0]
    assert train["temp"].to_list()[:3] == ["warm", "cold", "0.0"]
    assert "temp: values of several types, written as text" in frozen.manifest.notes
    assert frozen.manifest.tables["train.parquet"].versions == {"3": 145, "none": 2}
    for data, message in (
        ({"history": ("absent.csv",)}, "absent.csv cannot be read"),
        ({"history": ("history.csv",), "outcome": "cnt"}, "has no column 'cnt', the label"),
        ({"history": ("history.csv",), "time": "hour"}, "hour of the requests is Int64, a datetime is needed"),
        ({"time": "when"}, "the requests have no column 'when'"),
    ):
        with pytest.raises(FreezeError, match=message):
            freeze(policy(**data), reader=hourly(3), cut=CUT, folder=tmp_path / "x")


def test_outcomes_of_unknown_requests_are_counted_and_degraded_answers_and_other_versions_are_requests_too(
    tmp_path: Path,
) -> None:
    predictions = [
        asked(number, {"hour": number}, version=1 + number % 2, degraded="breaker" if number % 3 else None)
        for number in range(240)
    ]
    outcomes = [learned(number, number) for number in range(240)] + [learned(777, 1)]
    frozen = freeze(policy(), reader=journal(predictions, outcomes), cut=CUT, folder=tmp_path / "a")
    assert frozen.manifest.tables["evaluation.parquet"].versions == {"1": 24, "2": 24}
    assert any("1 outcomes of requests that it does not hold" in note for note in frozen.manifest.notes)


def test_only_rows_of_arms_drawn_at_random_are_used_where_the_policy_says_so(tmp_path: Path) -> None:
    predictions = [asked(n, {"hour": n}, probability=0.1 if n % 4 == 0 else 1.0) for n in range(480)]
    reader = journal(predictions, [learned(n, n) for n in range(480)])
    frozen = freeze(policy(exploration_only=True), reader=reader, cut=START + 20 * DAY, folder=tmp_path / "a")
    assert frozen.evaluation_rows()["rentals"].to_list() == list(range(412, 457, 4))
    assert frozen.manifest.left_out["arm not drawn at random"] == 360


def test_a_broken_contract_blocks_and_says_which_rule_and_rows(tmp_path: Path) -> None:
    Path("contract.yaml").write_text("rules:\n  - {kind: range, column: temp, max: 20}\n")
    with pytest.raises(BrokenContractError, match=r"range\(temp\).*first: row 201: temp = 20.1"):
        freeze(policy(contract="contract.yaml"), reader=hourly(240), cut=CUT, folder=tmp_path / "a")
    assert not (tmp_path / "a").exists()
    Path("contract.yaml").write_text("rules:\n  - {kind: range, column: temp, max: 21.5, severity: quarantine}\n")
    frozen = freeze(policy(contract="contract.yaml"), reader=hourly(240), cut=CUT, folder=tmp_path / "a")
    assert frozen.manifest.left_out["quarantined by the contract"] == 1
    assert frozen.manifest.contract is not None
    with pytest.raises(FreezeError, match=r"data\.contract"):
        freeze(policy(contract="absent.yaml"), reader=hourly(240), cut=CUT, folder=tmp_path / "b")


def test_too_few_rows_say_how_many_are_needed(tmp_path: Path) -> None:
    with pytest.raises(TooFewRowsError, match=r"145 rows for train \(data.minimum_rows.train\), 500 are needed") as few:
        freeze(policy(minimum_rows=MinimumRows(evaluation=10)), reader=hourly(240), cut=CUT, folder=tmp_path / "a")
    assert (few.value.rows, few.value.needed) == (145, 500)
    with pytest.raises(TooFewRowsError, match="0 mature rows, 20 are needed; left out: 1 not mature, 4 "):
        freeze(policy(), reader=hourly(3), cut=START + 5 * HOUR, folder=tmp_path / "a")


def test_a_missing_outcome_has_the_value_of_the_policy_once_its_row_is_mature(tmp_path: Path) -> None:
    reader = journal(
        [asked(n, {"hour": n}) for n in range(240)],
        [learned(n, True, after=HOUR) for n in range(0, 240, 3)] + [learned(1, True, after=9 * DAY)],
    )
    frozen = freeze(policy(missing_outcome=False), reader=reader, cut=CUT, folder=tmp_path / "a")
    train = pl.read_parquet(frozen.train)
    assert train.select("hour", "rentals").rows()[:4] == [(0, True), (2, False), (3, True), (4, False)]
    # The outcome of the second one came after the begin of the evaluation: a model of then could not have known it.
    assert frozen.context_rows().filter(pl.col("hour") == 1)["rentals"].to_list() == [True]
    assert frozen.manifest.left_out["not mature"] == 16
    with pytest.raises(FreezeError, match=r"data.missing_outcome: 'no' given, the outcomes are Boolean"):
        freeze(policy(missing_outcome="no"), reader=reader, cut=CUT, folder=tmp_path / "b")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    delays=st.lists(st.one_of(st.none(), st.integers(0, 96)), min_size=120, max_size=120),
    cut=st.integers(60, 200),
    mature=st.integers(1, 60),
    fill=st.booleans(),
)
def test_what_is_not_mature_at_the_cut_is_in_no_table(
    tmp_path_factory: pytest.TempPathFactory, delays: list[int | None], cut: int, mature: int, fill: bool
) -> None:
    folder = tmp_path_factory.mktemp("freeze")
    reader = journal(
        [asked(n, {"hour": n}) for n in range(120)],
        [learned(n, 1, after=delay * HOUR) for n, delay in enumerate(delays) if delay is not None],
        str(folder / "journal.db"),
    )
    rules = policy(
        mature_after=f"{mature}h", missing_outcome=0 if fill else "censored", evaluation_window="12h",
        minimum_rows=MinimumRows(train=1, evaluation=1),
    )  # fmt: skip
    moment = START + cut * HOUR
    try:
        frozen = freeze(rules, reader=reader, cut=moment, folder=folder / "frozen")
    except TooFewRowsError:
        return
    train, evaluation = pl.read_parquet(frozen.train), frozen.evaluation_rows()
    rows = pl.concat([train, evaluation])
    for number, label in rows.select("hour", "rentals").rows():
        assert number + mature <= cut
        delay = delays[number]
        known = delay is not None and number + delay <= cut
        assert label == (1 if known else 0)
        assert known or fill
    boundary = (frozen.manifest.boundary - START) / HOUR
    assert all(number + mature <= boundary for number in train["hour"])
    assert frozen.manifest.left_out.get("not mature", 0) + frozen.manifest.left_out.get(
        "not mature, with outcome", 0
    ) == sum(number + mature > cut for number in range(min(120, cut)))
