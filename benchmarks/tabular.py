"""Tabular models from raw tables, beside published anchors under the same protocol."""

import statistics
import tempfile

from benchmarks.measure import run
from benchmarks.page import table, verdict


def bike_sharing() -> str:
    """Bike sharing: error by hour with calendar and weather, and with past rentals."""
    rows = []
    for name, features in (("calendar and weather", "calendar"), ("with past rentals, another protocol", "history")):
        errors = run("bike_sharing", features).answer["errors"]
        rows.append(f"ours, {name}|{statistics.mean(errors):.3f} +- {statistics.pstdev(errors):.3f}|")
    rows += [
        "scikit-learn's HistGradientBoosting, calendar and weather|0.044 +- 0.003|",
        "scikit-learn's ridge, one-hot time|0.099 +- 0.011|",
        "scikit-learn's ridge|0.142 +- 0.014|",
    ]
    return (
        "MAE of cnt / max(cnt) on bike_sharing/hour.csv, TimeSeriesSplit(5, gap 48, max_train_size 10,000, test_size "
        "1,000), mean and deviation over the folds; the last 1,000 training rows choose the epoch and do not train. The "
        "anchors are those of scikit-learn 1.4's example of cyclic features, whose rows are OpenML's encoding. Past "
        "rentals are known to the hour, so that row is no comparison with the anchors.\n\n"
    ) + table("|MAE|", *rows)


def cdnow() -> str:
    """CDNOW: purchases of the next 39 weeks from features cut at week 39, beside BG/NBD."""
    answer = run("cdnow").answer
    names = {
        "full": "ours, fit to export to score; trained on the 39 weeks of other customers",
        "earlier": "ours, trained on a cut at week 19.5, times two",
        "bg_nbd": "BG/NBD, published parameters",
        "zero": "nobody buys",
    }
    rows = [
        f"{text}|{answer[name]['mae']:.3f}|{answer[name]['rmse']:.3f}|{answer[name]['correlation']:.3f}|"
        f"{answer[name]['total']:,.0f}|"
        for name, text in names.items()
    ]
    return (
        f"Days with a purchase from 1997-10-01 to 1998-06-30 of the {answer['customers']:,} customers of the published "
        f"1/10 sample, {answer['actual']:,.0f} in truth. BG/NBD and the second row use no purchase of the holdout period; "
        "the first row trains on it, of other customers. BG/NBD's parameters were fitted to these customers' own past.\n\n"
    ) + table("|MAE|RMSE|correlation|total|", *rows)


def tabular_rows() -> str:
    """Requests of raw rows to packages of tabular models, by row and from an online store."""
    with tempfile.TemporaryDirectory() as place:
        answer = run("tabular_rows", place).answer
    aims = {"by_row_1": 0.3, "store_1": 0.5}
    names = {"by_row": "features by row", "store": "features of history from SQLite"}
    rows = []
    for kind, what in names.items():
        for count in (1, 100, 1000):
            wall, cpu = answer[f"{kind}_{count}"]
            aim = aims.get(f"{kind}_{count}")
            goal = "|" if aim is None else f"{aim}|{verdict(wall <= aim)}"
            rows.append(f"{what}, {count:,} rows|{wall:.3f}|{cpu:.3f}|{goal}")
    return (
        "A perceptron of seven features (columns as given, a vocabulary, a calendar part, a target encoding, two of "
        f"history), asked with dicts of lists; {answer['shops']:,} entities in the store, others in each request; medians "
        f"of {answer['calls']} calls of `Package.predict`. Up to 256 rows are computed in plain Python, more as a table.\n\n"
    ) + table("request|ms, median|ms of CPU|aim|", *rows)


SECTIONS = {"bike_sharing": bike_sharing, "cdnow": cdnow, "tabular_rows": tabular_rows}
