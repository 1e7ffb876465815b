"""Best trials in the report: their changes, their cost, and the commands that fit and test them again."""

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial

from sweeps.reporting.markdown import cell, table
from sweeps.reporting.outcome import Fits, measured, shown_values
from sweeps.reporting.selection import BASE, Best, Selection
from sweeps.reporting.trial_table import changes, run_of
from sweeps.space.names import short_names
from sweeps.space.search_space import SearchSpace

_TOP = 10
_NEEDED = {"parameters": ("parameters", ",.0f"), "latency": ("latency [ms]", ".4g"), "memory": ("memory [MiB]", ".4g")}


def best_section(chosen: Best, *, metric: str, space: SearchSpace, base: Mapping[str, Any], folder: Path) -> str:
    """What the best trial changed in the base config, and how to fit and to test it.

    Args:
        chosen: The best of a study of one metric.
        metric: Its name.
        space: What varies.
        base: The resolved config that the trials vary.
        folder: Folder of the study.
    """
    fit = ""
    if (folder / "best.yaml").exists():
        fit = f"\n\nTo fit it again:\n\n```sh\nlightning-app fit -c {folder / 'best.yaml'}\n```"
    best = chosen.trial
    if best is None:
        return f"## Best config\n\nThe base config as it is: no trial was better on fresh seeds.{fit}"
    parameters = {parameter.key: parameter for parameter in space.parameters}
    rows = [
        (f"`{key}`", cell(before, parameters[key]), cell(now, parameters[key]))
        for key, before, now in changes(_as_given(best, space), base)
    ]
    text = "## Best trial\n\n" + table(("key", "base config", f"trial {best.number}"), rows) + fit
    run = run_of(folder, best.number)
    return text if run is None else f"{text}\n\n{_how_to_test(best, metric, run)}"


def reevaluation_section(selection: Selection | None, trials: Sequence[FrozenTrial], *, metric: str) -> str:
    """How the candidates came out on fresh seeds, the best of the search first.

    Args:
        selection: What the re-evaluation found; None where there was none.
        trials: Of the study.
        metric: Its metric.
    """
    if selection is None:
        return ""
    rows = [
        (
            candidate.name,
            "" if candidate.number == BASE else shown_values(trials[candidate.number])[0],
            candidate.shown,
            "chosen" if candidate.number == selection.chosen else "",
        )
        for candidate in selection.candidates
    ]
    return (
        "## Re-evaluation\n\nThe best trials of the search and the config that they vary, fitted again on "
        f"{selection.shown_seeds}, which no trial of the search has seen; mean ± standard deviation of {metric}. The "
        "best mean is chosen.\n\n" + table(("", f"{metric} in the search", f"{metric} on fresh seeds", ""), rows)
    )


def top_section(
    best: Sequence[FrozenTrial], *, space: SearchSpace, metrics: Sequence[str], folder: Path, study: str
) -> str:
    """The best trials in a table, with how to fit one again where no `best.yaml` says it.

    Args:
        best: Counted trials, the best first; of several metrics the Pareto front.
        space: What varies.
        metrics: Names of the metrics.
        folder: Folder of the study.
        study: Its name.
    """
    if not best:
        return ""
    is_front = len(metrics) > 1
    shown = best if is_front else best[:_TOP]
    columns = {"trial": [str(trial.number) for trial in shown]}
    for position, name in enumerate(metrics):
        columns[name] = [shown_values(trial)[position] for trial in shown]
    names, given = short_names(parameter.key for parameter in space.parameters), [_as_given(t, space) for t in shown]
    for parameter in space.parameters:
        key = parameter.key
        columns[names[key]] = [cell(drawn[key], parameter) if key in drawn else "" for drawn in given]
    needed = [measured(trial) for trial in shown]
    for name, (title, style) in _NEEDED.items():
        if any(name in found for found in needed):
            columns[title] = [format(found[name], style) if name in found else "" for found in needed]
    configs = [run / "config.yaml" if (run := run_of(folder, trial.number)) else None for trial in shown]
    if is_front and any(configs):
        columns["config"] = [f"`{path.relative_to(folder)}`" if path else "" for path in configs]
    title = "Trials of the Pareto front" if is_front else f"The best {len(shown)} trials"
    text = f"## {title}\n\n" + table(list(columns), list(zip(*columns.values(), strict=True)))
    return text + (_how_to_fit(shown, configs, folder, study) if is_front else "")


def _how_to_fit(trials: Sequence[FrozenTrial], configs: Sequence[Path | None], folder: Path, study: str) -> str:
    for trial, config in zip(trials, configs, strict=True):
        if config is not None:  # it names the trial's own folder, where nothing else belongs
            options = f"--run.root {folder.parent.parent} --run.name {study}-trial-{trial.number:05d}"
            fit = f"lightning-app fit -c {config} {options}"
            return f"\n\nTo fit one again, here trial {trial.number}:\n\n```sh\n{fit}\n```"
    return ""


def _how_to_test(best: FrozenTrial, metric: str, run: Path) -> str:
    """A command where `best.ckpt` is of the validation that counts: its callback may watch another metric."""
    path = run / "checkpoints" / "best.ckpt"
    fits = Fits.of(best)
    value = fits.values[0][0] if fits else best.value
    steps = [step for step in sorted(best.intermediate_values) if best.intermediate_values[step] == value]
    text = f"Its run{f' of seed {fits.seeds[0]}' if fits else ''} is `{run}`"
    text += f", its value that of validation {steps[0]}, the first being 0" if steps else ""
    kept, step = _kept(path)
    if kept.get(metric) == value or (kept and _validated(run, metric, step) == value):
        return f"{text}; to test it:\n\n```sh\nlightning-app test --ckpt_path {path}\n```"
    watched = ", ".join(f"{name} {value:.6g}" for name, value in kept.items())
    return text + (f"; `best.ckpt` is not of that one, it has the best {watched}." if watched else ".")


def _kept(checkpoint: Path) -> tuple[dict[str, float], int]:
    """What a checkpoint is the best of, by the metric, and the step that metrics were logged with when it was saved."""
    if not checkpoint.is_file():
        return {}, -1
    import torch  # takes a second or two, for which only the end of a study waits

    try:
        held = torch.load(checkpoint, map_location="cpu", mmap=True, weights_only=True)
    except (OSError, RuntimeError, pickle.UnpicklingError):  # not whole, or with what only its own code can read
        return {}, -1
    states = [state for state in held["callbacks"].values() if isinstance(state, Mapping)]
    kept = {
        state["monitor"]: float(state["best_model_score"])
        for state in states
        if state.get("monitor") and state.get("best_model_score") is not None
    }
    loop = held.get("loops", {}).get("fit_loop", {}).get("epoch_loop.state_dict", {})
    return kept, int(loop.get("_batches_that_stepped", 0)) - 1


def _validated(run: Path, metric: str, step: int) -> float | None:
    """The value of a metric at the validation of a step, as the run's history has it."""
    from lightning_app.runs.history import read_history  # imports torch too

    for row in read_history(run / "metrics.csv"):
        if row.get(metric) and int(row["step"]) == step:
            return float(row[metric])
    return None


def _as_given(trial: FrozenTrial, space: SearchSpace) -> dict[str, Any]:
    """Drawn values as the config takes them, in the order of the space."""
    return {
        parameter.key: parameter.value(trial.params[parameter.key])
        for parameter in space.parameters
        if parameter.key in trial.params
    }
