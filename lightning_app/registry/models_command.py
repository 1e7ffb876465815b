"""`lightning-app models list|show|compare`: what a registry holds."""

from collections.abc import Sequence
from datetime import datetime

from rich.table import Table

from lightning_app.errors import UsageError
from lightning_app.packaging.manifest import Manifest
from lightning_app.registry.command import REGISTRY_HELP
from lightning_app.registry.comparison import Candidate, NotComparableError, compare_errors
from lightning_app.registry.registry import Registry, Version
from lightning_app.registry.tables import show
from lightning_app.verb_parser import VerbParser


def run(args: list[str]) -> None:
    """Runs the verb; see `--help`.

    Args:
        args: The command line, verb first.
    """
    parser = VerbParser("models", description="What the registry holds.", epilog="")
    parser.add_argument("action", choices=("list", "show", "compare"), help="list all, show one, compare two or more")
    parser.add_argument("models", nargs="*", help="NAME, NAME@VERSION or NAME@ALIAS; to compare, also folders")
    parser.add_argument("--registry", default=None, help=REGISTRY_HELP)
    given = parser.parse_args(args[1:])
    registry, count = Registry(given.registry), len(given.models)
    if given.action == "list" and not count:
        _list(registry)
    elif given.action == "show" and count == 1:
        _show(registry, given.models[0])
    elif given.action == "compare" and count >= 2:
        _compare(registry, given.models)
    else:
        wanted = {"list": "none", "show": "one", "compare": "two or more"}[given.action]
        raise UsageError(f"models: {count} given, {given.action} takes {wanted}")


def _list(registry: Registry) -> None:
    names = registry.names()
    if not names:
        print("no models")  # noqa: T201
        return
    table = Table("model", "versions", "champion", "challenger", "shadow", "task", "registered")
    for name in names:
        versions = _versions_or_none(registry, name)
        if not versions:
            continue
        numbers = {alias: str(version.record.number) for version in versions for alias in version.aliases}
        last = versions[-1].record
        aliases = (numbers.get(alias, "") for alias in ("champion", "challenger", "shadow"))
        table.add_row(name, str(len(versions)), *aliases, last.task, f"{last.created:%Y-%m-%d %H:%M} UTC")
    show(table)


def _show(registry: Registry, model: str) -> None:
    if "@" in model:
        _show_version(registry, model)
        return
    versions = registry.versions(model)
    metrics = _shared([list(version.record.metrics) for version in versions])
    table = Table("version", "aliases", *metrics, "registered", "by", "digest")
    for version in versions:
        record = version.record
        values = (f"{record.metrics[name]:.4g}" for name in metrics)
        created = f"{record.created:%Y-%m-%d %H:%M} UTC"
        aliases = ", ".join(version.aliases)
        table.add_row(str(record.number), aliases, *values, created, record.registered_by, record.digest[:12])
    show(table)
    entries = registry.history(model).entries
    if not entries:
        return
    history = Table("when", "who", "change", "gates", "reason")
    for entry in entries.values():
        refused = [gate["gate"] for gate in entry.gates if not gate["passed"]]
        gates = "" if not entry.gates else "passed" if not refused else f"overruled: {', '.join(refused)}"
        change = f"{entry.action}: {entry.alias} {entry.before or 'none'} -> {entry.after}"
        when = f"{datetime.fromisoformat(entry.when):%Y-%m-%d %H:%M} UTC"
        history.add_row(when, entry.who, change, gates, entry.reason or "")
    show(history)


def _show_version(registry: Registry, model: str) -> None:
    found = registry.resolve(model)
    manifest = Manifest.read(found.path)
    aliases = f" ({', '.join(found.aliases)})" if found.aliases else ""
    table = Table("", f"{found.name}@{found.version}{aliases}")
    for label, value in _facts(Candidate(model, found.path, manifest)).items():
        table.add_row(label, value)
    table.add_row("commit", str(manifest.lineage.get("commit")))
    table.add_row("created", str(manifest.lineage.get("created")))
    table.add_row("package", str(found.path))
    show(table)


def _compare(registry: Registry, models: Sequence[str]) -> None:
    candidates = [registry.candidate(model) for model in models]
    table = Table("", *(candidate.name for candidate in candidates))
    facts = [_facts(candidate) for candidate in candidates]
    for label in dict.fromkeys(label for column in facts for label in column):
        table.add_row(label, *(column.get(label, "") for column in facts))
    table.add_row(f"error against {candidates[0].name}", "", *(_against(one, candidates[0]) for one in candidates[1:]))
    show(table)


def _against(candidate: Candidate, first: Candidate) -> str:
    try:
        ratio = compare_errors(candidate, first)
    except NotComparableError as error:
        return str(error)
    return f"{ratio.ratio - 1:+.1%} ({ratio.low - 1:+.1%} to {ratio.high - 1:+.1%})"


def _facts(candidate: Candidate) -> dict[str, str]:
    manifest = candidate.manifest
    p50 = manifest.latency.get("p50_ms") or {}
    size = sum(entry.bytes for entry in (manifest.files or {}).values())
    return {
        "task": f"{manifest.family}, {manifest.task}",
        **{name: f"{value:.4g}" for name, value in sorted(manifest.metrics["values"].items())},
        "size": f"{size / 1e6:.3g} MB",
        **{f"p50 ms, {rows} rows": f"{value:.3g}" for rows, value in p50.items()},
        "card": "complete" if manifest.card["complete"] else f"empty: {', '.join(manifest.card.get('missing') or [])}",
        "optimization": str((manifest.optimization or {}).get("kind", "none")),
    }


def _shared(names: Sequence[Sequence[str]]) -> list[str]:
    return [name for name in names[0] if all(name in other for other in names)]


def _versions_or_none(registry: Registry, name: str) -> list[Version]:
    """None for models that something else registered."""
    try:
        return registry.versions(name)
    except UsageError:
        return []
