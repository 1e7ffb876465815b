import time

from hypothesis import given
from hypothesis import strategies as st

from lightning_app.serving.experiments.store import ArmCounts, ExperimentStore
from lightning_app.serving.journal.arm_count import LATENCY_BOUNDS_MS, NUM_LATENCY_BINS, ArmCount, latency_bin
from lightning_app.serving.journal.stores import open_database
from lightning_app.serving.journal.stores.side_tables import merge_counts, merged_counts


def count(at: float, **fields: object) -> ArmCount:
    defaults = {
        "time": at, "experiment": "prices", "worker": "w1", "arm": "champion", "version": 3, "probability": 0.5,
        "requests": 10, "failures": 1, "degraded": 2, "latencies": [0, 4, 3],
    }  # fmt: skip
    return ArmCount(**defaults | fields)  # type: ignore[arg-type]


def test_counts_are_summed_by_arm_and_probability_and_merging_changes_no_sum(journal_url: str) -> None:
    database = open_database(journal_url)
    counts = ArmCounts(database)
    now = time.time()
    minutes = [count(now - 60 * age, worker=f"w{age % 2}", latencies=[0, 1]) for age in range(100)]
    counts.add(minutes)
    counts.add([count(now, arm="b", latencies=[0] * 200 + [7]), count(now, probability=0.25, version=None)])
    counts.add([count(now, experiment="other")])
    before = counts.totals("prices")
    assert sorted(before) == [("b", 0.5), ("champion", 0.25), ("champion", 0.5)]
    champion = before["champion", 0.5]
    assert (champion.requests, champion.failures, champion.degraded) == (1000, 100, 200)
    assert champion.latencies == [0, 100] + [0] * (NUM_LATENCY_BINS - 2)
    assert merge_counts(database, now=now) >= 90
    assert counts.totals("prices") == before
    assert merge_counts(database, now=now) == 0
    assert database.execute(f"SELECT count(*) FROM {database.table('arm_counts')}")[0][0] <= 13


def test_probabilities_of_bandits_are_merged_to_their_mean(journal_url: str) -> None:
    database = open_database(journal_url)
    counts = ArmCounts(database)
    store = ExperimentStore(database)
    for experiment, kind in (("bandit", "thompson"), ("steps", "canary")):
        store.create(experiment, model="churn", kind=kind, spec={}, state={})
    old = time.time() // 3600 * 3600 - 1800
    for experiment in ("bandit", "steps"):
        for share in (1, 3):
            counts.add([count(old, experiment=experiment, probability=share / 4, requests=share)])
    merge_counts(database, now=old + 120)
    assert {key: total.requests for key, total in counts.totals("steps").items()} == {
        ("champion", 0.25): 1, ("champion", 0.75): 3,
    }  # fmt: skip
    assert {key: total.requests for key, total in counts.totals("bandit").items()} == {("champion", 0.625): 4}
    counts.add([count(old, experiment="linear", probability=share / 256, requests=1) for share in range(256)])
    assert database.execute(f"SELECT count(*) FROM {database.table('arm_counts')}") == [(4,)]
    (((_, probability), total),) = counts.totals("linear").items()
    assert (round(probability, 6), total.requests) == (round(127.5 / 256, 6), 256)


@given(
    st.lists(
        st.builds(
            count, st.floats(0, 10_000), worker=st.sampled_from("ab"), arm=st.sampled_from("ab"),
            probability=st.sampled_from([0.5, 0.25]), requests=st.integers(0, 9),
            latencies=st.lists(st.integers(0, 9), max_size=5),
        )
    )
)  # fmt: skip
def test_merged_counts_have_the_same_sums(rows: list[ArmCount]) -> None:
    merged = merged_counts(rows)
    assert sum(row.requests for row in merged) == sum(row.requests for row in rows)
    assert sum(sum(row.latencies) for row in merged) == sum(sum(row.latencies) for row in rows)
    assert len({(row.worker, row.arm, row.probability, row.time // 3600) for row in merged}) == len(merged)


def test_bins_of_latencies_are_a_tenth_apart() -> None:
    assert latency_bin(0.0) == 0
    assert latency_bin(1e9) == NUM_LATENCY_BINS - 1
    for milliseconds in (0.2, 3.0, 40.0, 5000.0):
        place = latency_bin(milliseconds)
        assert LATENCY_BOUNDS_MS[place] / 1.1 < milliseconds <= LATENCY_BOUNDS_MS[place]
