"""Boosted trees, linear models and majority rows on tables: quality, cost of a fit, speed of a package."""

import os
import statistics
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import yaml

from benchmarks.measure import alternate, median, run
from benchmarks.page import config, table, verdict
from benchmarks.tables.networks import quality_rows


def adult_trees() -> str:
    """Adult: accuracy of boosted trees, logistic regression and the majority on the published test split."""
    trees = {"LightGBM": "tabular/adult_lightgbm", "XGBoost": "tabular/adult_xgboost"}
    others = {"logistic regression": "tabular/adult_linear", "majority": "tabular/adult_majority"}
    rows, minutes = quality_rows(trees, metric="test/accuracy", aim=0.873, scale=1.0, higher=True)
    further, more = quality_rows(others, metric="test/accuracy", aim=None, scale=1.0, higher=True)
    return (
        "Accuracy on adult.test (16,281 rows). Each run draws its 15 % of validation rows from adult.data with its seed; "
        "settings of LightGBM were chosen by validation loss among six, with test accuracy printed beside it, those of XGBoost "
        "are its like; the round with the "
        f"lowest validation loss is tested. {minutes + more:.1f} CPU-minutes in all.\n\n"
    ) + table(
        "|mean of 3 seeds, 95 % interval|each|CPU s per fit|aim|",
        *rows,
        *further,
        "FT-Transformer paper (2021): CatBoost, XGBoost|0.873, 0.872||||",
    )


def housing_trees() -> str:
    """California housing: error of boosted trees on the papers' 64/16/20 split."""
    configs = {"LightGBM": "tabular/housing_lightgbm"}
    rows, minutes = quality_rows(configs, metric="test/rmse", aim=0.435, scale=1e-5, higher=False)
    return (
        "RMSE in 100,000 US dollars on california_housing/housing.csv, 64 % train, 16 % validation, 20 % test by the seed; "
        "columns as of the networks on the same table. Settings were chosen on the validation rows of seed 0. "
        f"{minutes:.1f} CPU-minutes in all.\n\n"
    ) + table(
        "|mean of 3 seeds, 95 % interval|each|CPU s per fit|aim|",
        *rows,
        "FT-Transformer paper (2021): CatBoost|0.430||||",
    )


def diabetes_rows() -> str:
    """Readmission of people with diabetes, grouped by patient: AUROC, time and memory of every kind of model."""
    rows = []
    task = "models.tasks.MulticlassClassification"
    network = {
        "network": {"class_path": "models.tabular.MLP", "init_args": {"dropout": 0.2}},
        "task": task,
        "optimizer": {"class_path": "AdamW", "init_args": {"lr": 0.001}},
    }
    kinds: dict[str, dict[str, Any] | None] = {
        "majority": {"class_path": "models.linear.MajorityRow", "init_args": {"task": task}},
        "softmax regression": {"class_path": "models.linear.LinearModel", "init_args": {"task": task}},
        "LightGBM": None,
        "perceptron, 5 epochs": {"class_path": "models.tabular.TabularModule", "init_args": network},
    }
    archive = Path(os.environ["LIGHTNING_APP_DATA"]) / "diabetes130/dataset_diabetes.zip"
    with tempfile.TemporaryDirectory() as place:
        zipfile.ZipFile(archive).extractall(Path(place) / "diabetes130")
        for name, model in kinds.items():
            given = yaml.safe_load(Path(config("tabular/diabetes_lightgbm")).read_text())
            if model is not None:
                given["model"] = model
            given["trainer"]["max_epochs"] = 5 if "epochs" in name else 1
            file = Path(place) / "diabetes.yaml"
            file.write_text(yaml.safe_dump(given))
            cost = run("table_network", str(file), "0", "--data.root", place)
            answer = cost.answer
            rows.append(
                f"{name}|{answer['test/auroc']:.4f}|{answer['test/accuracy']:.4f}|{answer['test/loss']:.4f}|"
                f"{answer['fit_cpu_s']:.0f}|{cost.peak_mib:.0f}"
            )
    return (
        "diabetes130, 101,766 stays of 71,518 patients, 47 of 50 columns (without the ids of stay and patient, and the "
        "label): `<30` days, `>30` or no readmission; all stays of a patient are in the same split, 64 % train, 16 % "
        "validation, 20 % test of the patients, one seed. CPU time is that of the fit, reading and features included; "
        "memory is the peak of the process with its test.\n\n"
    ) + table("|AUROC, mean of classes|accuracy|log loss|CPU s|MiB", *rows)


def tree_fit_cost() -> str:
    """Boosted trees through the command against LightGBM alone on the same table: CPU time."""
    jobs = tuple(("tree_fit", kind) for kind in ("command", "plain"))
    command, plain = alternate(3, *jobs)
    rows = []
    for name, key in (("the fit, on arrays that are read", "fit"), ("with reading and features", "job")):
        ours, theirs = median(command, key), median(plain, key)
        rows.append(f"{name}|{ours:.1f}|{theirs:.1f}|{ours / theirs:.2f}x|1.15x|{verdict(ours / theirs <= 1.15)}")
    ours, theirs = (statistics.median(cost.cpu_seconds for cost in costs) for costs in (command, plain))
    rows.append(
        f"the whole process|{ours:.1f}|{theirs:.1f}|{ours / theirs:.2f}x|1.15x|{verdict(ours / theirs <= 1.15)}"
    )
    return (
        "`fit -c tabular/adult_lightgbm` against lightgbm.train with the same rows, columns, settings and early stopping, "
        f"{command[0].answer['rounds']:.0f} and {plain[0].answer['rounds']:.0f} rounds; both read the table and compute "
        "the features by the same definitions, LightGBM alone writes nothing. Medians of 3 in turn, W&B off. The whole "
        "process includes the import of torch and Lightning, which the plain program imports for the features alone.\n\n"
    ) + table("CPU seconds|command|LightGBM|ratio|aim|", *rows)


def tree_latency() -> str:
    """A package of boosted trees against LightGBM's own prediction: one row, and 10,000."""
    with tempfile.TemporaryDirectory() as place:
        answer = run("tree_latency", place).answer
    ours, theirs, batch = answer["dense"], answer["library"], answer["batch"] / answer["library_batch"]
    return (
        f"{answer['trees']} trees on Adult, one thread, CPU time per call (medians of 15 rounds in turn); the package "
        f"answers the library's probabilities to {answer['apart']:.0e}. Raw cells are texts and numbers as they stand in "
        "the table; the library's way from them is a data frame with columns of categories. The graph alone takes "
        f"{answer['runtime']:.3f} ms of ONNX Runtime, which no request can be faster than.\n\n"
    ) + table(
        "ms|package|LightGBM|ratio|aim|",
        f"one row, arrays; Booster.predict of a numpy row|{ours:.3f}|{theirs:.3f}|{theirs / ours:.2f}x faster|3x|"
        f"{verdict(theirs >= 3 * ours)}",
        *(
            f"one row, {kind}|{answer[mine]:.3f}|{answer[theirs_of]:.3f}|"
            f"{answer[theirs_of] / answer[mine]:.1f}x faster|3x|{verdict(answer[theirs_of] >= 3 * answer[mine])}"
            for kind, mine, theirs_of in (
                ("arrays; LGBMClassifier.predict_proba of a numpy row", "dense", "library_classifier"),
                ("raw cells; Booster.predict of a ready data frame", "raw", "library_frame"),
                ("raw cells; a data frame made of them, and Booster.predict", "raw", "library_raw"),
            )
        ),
        f"10,000 rows, arrays|{answer['batch']:.0f}|{answer['library_batch']:.0f}|{batch:.2f}x the time|1.5x|"
        f"{verdict(batch <= 1.5)}",
    )


SECTIONS = {
    "adult_trees": adult_trees,
    "housing_trees": housing_trees,
    "diabetes_rows": diabetes_rows,
    "tree_fit_cost": tree_fit_cost,
    "tree_latency": tree_latency,
}
