"""Tabular models from raw tables, beside published anchors under the same protocol."""

import statistics

from benchmarks.measure import run
from benchmarks.page import table


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


SECTIONS = {"bike_sharing": bike_sharing, "cdnow": cdnow}
