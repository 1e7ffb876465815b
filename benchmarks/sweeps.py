"""Sweeps: what a trial costs beyond its fit, what kills do to a study, and what a search finds."""

import statistics
from collections.abc import Callable
from typing import Any

from benchmarks.measure import ROOT, alternate, median, run
from benchmarks.page import config, table, verdict
from benchmarks.paired import Paired

SPACE = str(ROOT / "benchmarks" / "programs" / "seeds.yaml")


def sweep_overhead() -> str:
    """A trial whose fit does nearly nothing, beside Optuna's own ask and tell."""
    (costs,) = alternate(3, ("sweep_cost", SPACE, config("forecasting/co2_naive")))
    added, own = median(costs, "added_s"), median(costs, "coordinator_cpu_s")
    return (
        "The trial fits a model without parameters (co2_naive: reads the series, one epoch, validation, checkpoints, "
        "lineage) in a process of its own, one at a time, journal file, W&B disabled; random sampler. Slope between "
        "sweeps of 10 and 40 trials, medians of 3. Optuna's ask and tell run in one process on the same kind of "
        "storage.\n\n"
    ) + table(
        "||aim|",
        f"Optuna's ask and tell, ms per trial|{1e3 * median(costs, 'ask_tell_s'):.1f}||",
        f"added wall time per trial, s|{added:.2f}|0.5|{verdict(added <= 0.5)}",
        f"CPU of the coordinator, ms per trial|{1e3 * own:.1f}|20|{verdict(own <= 0.020)}",
    )


def sweep_speed() -> str:
    """Twenty trials beside twenty commands."""
    options = (SPACE, config("graph/cora_gcn"), "--trainer.max_epochs=1")
    sweep, calls = alternate(3, ("sweep_wall", "sweep", "20", *options), ("sweep_wall", "calls", "20", *options))
    wall, cpu = (median(sweep, key) / median(calls, key) for key in ("wall_s", "cpu_s"))
    return "Twenty fits of one epoch on Cora, one at a time, W&B disabled; run in turn, medians of 3.\n\n" + table(
        "|20 calls of fit|one sweep|ratio|aim|",
        f"wall s|{median(calls, 'wall_s'):.1f}|{median(sweep, 'wall_s'):.1f}|{wall:.2f}|0.25|{verdict(wall <= 0.25)}",
        f"CPU s|{median(calls, 'cpu_s'):.1f}|{median(sweep, 'cpu_s'):.1f}|{cpu:.2f}||",
    )


def sweep_kills() -> str:
    """A study whose processes are killed, beside the same one in peace."""
    space = str(ROOT / "benchmarks" / "programs" / "cora_random.yaml")
    answer = run("sweep_kills", config("graph/cora_gcn"), space, "--", "--trainer.max_epochs=10").answer
    peace, kills = answer["in peace"], answer["with kills"]
    rows = [
        f"{name}|{', '.join(f'{count} {state}' for state, count in found['states'].items())}|"
        f"{found['repeated parameters']}|{found['best'][1]:.4f} (trial {found['best'][0]})|{found['seconds']}"
        for name, found in (("in peace", peace), ("with kills", kills))
    ]
    victims = ", ".join(f"{count} of the {name}" for name, count in kills["kills"].items())
    good = set(kills["states"]) <= {"COMPLETE", "PRUNED"} and not kills["repeated parameters"]
    return (
        f"60 trials of ten epochs on Cora, two workers, random sampler with a seed per trial; SIGKILLs: {victims}, at random "
        f"moments that are spread over the study. Values of all trials equal: {peace['values'] == kills['values']}. "
        f"None failed, none running, none repeated, same best: {verdict(good and answer['same best'])}.\n\n"
    ) + table("|states|repeated parameters|best validation accuracy|s|", *rows)


def sweep_journal() -> str:
    """Eight processes that write to one journal, with our lock and with Optuna's."""
    writers, writes, times = 8, 100, 3
    (costs,) = alternate(times, ("sweep_journal", str(writers), str(writes)))
    rows = []
    for name, kind in (("Optuna's lock files", "optuna"), ("ours, a lock of the kernel", "ours")):
        found = [cost.answer[kind] for cost in costs]
        per_s, slowest = (statistics.median(answer[key] for answer in found) for key in ("per_s", "slowest_s"))
        rows.append(f"{name}|{per_s:,.0f}|{slowest:.2f}")
    return (
        f"{writers} processes, {writes} synced writes each, one file on a local disk; medians of {times} processes.\n\n"
    ) + table("|writes per s|slowest write, s", *rows)


def sweep_choice() -> str:
    """What a sweep names: the best of one seed, of several, or of a re-evaluation, at equal numbers of fits."""
    space = str(ROOT / "benchmarks" / "programs" / "cora_choice.yaml")
    answer = run("sweep_choice", config("graph/cora_gcn"), space, "20").answer
    rows = [
        "|".join([row["name"], *(f"{100 * gain:+.2f}" if gain is not None else "" for gain in row["gains"])])
        for row in answer["policies"]
    ]
    return (
        f"{answer['trials']} configs drawn at random from the space of `configs/sweeps/cora_gcn.yaml` (16 to 128 wide), each "
        f"fitted on {answer['seeds']} seeds; validation alone. Their validation accuracies have a standard deviation of "
        f"{answer['within']:.4f} between seeds of one config and of {answer['between']:.4f} between the means of configs. "
        "Draws from normal distributions with these two: by how much the mean accuracy of the config that is named is above "
        "that of a random one, in points of percent. A re-evaluation costs the search the fits that it takes.\n\n"
    ) + table("|".join(["fits in all", *map(str, answer["budgets"])]), *rows)


def sweep_gain() -> str:
    """Thirty trials of TPE on Cora, the best chosen on fresh seeds, judged by the test of ten others."""
    return gain_text(run("sweep_gain", config("graph/cora_gcn"), config("sweeps/cora_gcn"), "30").answer)


def gain_text(answer: dict[str, Any]) -> str:
    """The section on a sweep's gain.

    Args:
        answer: What `programs/sweep_gain.py` printed.
    """
    shipped = answer["shipped"]["test"]["values"]
    rows = []
    for key, name in (
        ("shipped", "shipped config"),
        ("search", "best of the search, by one seed"),
        ("swept", "`best.yaml`, by fresh seeds"),
    ):
        found = answer[key]
        row = [name, *(f"{found[of]['mean']:.4f} ± {found[of]['spread']:.4f}" for of in ("validation", "test"))]
        if key != "shipped":
            gain = Paired.of(found["test"]["values"], shipped)
            row += [f"{gain.mean:+.4f} ({gain.low:+.4f} to {gain.high:+.4f})", f"{gain.wins} of {len(shipped)}"]
            row += [verdict(gain.low > 0) if key == "swept" else ""]
        rows.append("|".join(row + [""] * (6 - len(row))))
    seed, options = answer["first_seed"], answer["options"]["reevaluate"]
    return (
        f"{answer['trials']} trials of TPE over `configs/sweeps/cora_gcn.yaml` with two workers, by `{answer['metric']}`; the best "
        f"{options['top']} and the shipped config were fitted again on {options['seeds']} fresh seeds; {answer['fits']} fits in "
        f'all. `best.yaml` begins: "{answer["head"]}" Seeds of the sweep count from {seed}, the test is that of `compare` on '
        "seeds 0 to 9, which the sweep has not seen, and nothing was chosen by it. Judged by the difference of the test to the "
        "shipped config, paired by seed, with its 95 % interval (Student's t): reached where all of the interval is above "
        "0.\n\n"
    ) + table(
        "|validation accuracy|test accuracy|test, minus shipped|better on|",
        *rows,
    )


SECTIONS: dict[str, Callable[[], str]] = {
    "sweep_overhead": sweep_overhead,
    "sweep_speed": sweep_speed,
    "sweep_kills": sweep_kills,
    "sweep_journal": sweep_journal,
    "sweep_choice": sweep_choice,
    "sweep_gain": sweep_gain,
}
