"""Models command: `lightning-app models list|show|compare` shows what a registry holds."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from rich.table import Table

from lightning_app.errors import UsageError
from lightning_app.packaging.format.manifest import Manifest
from lightning_app.packaging.format.provenance import framework_text, repository_text
from lightning_app.registry.commands.promotion_commands import REGISTRY_HELP
from lightning_app.registry.promotion.comparison import Candidate, NotComparableError, error_ratio
from lightning_app.registry.registered import Version
from lightning_app.registry.registry import Registry
from lightning_app.terminal import print_json, show
from lightning_app.verb_parser import VerbParser

_ALIASES = ("champion", "challenger", "shadow")


def run(args: list[str]) -> None:
    """Runs the verb; see `--help`.

    Args:
        args: Command line, verb first.
    """
    parser = VerbParser("models", description="What the registry holds.", epilog="")
    parser.add_argument("action", choices=("list", "show", "compare"), help="list all, show one, compare two or more")
    parser.add_argument("models", nargs="*", help="NAME, NAME@VERSION or NAME@ALIAS; to compare, also folders")
    parser.add_argument("--registry", default=None, help=REGISTRY_HELP)
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    arguments = parser.parse_args(args[1:])
    action, models = arguments.action, arguments.models
    registry = Registry(arguments.registry)
    if action == "list" and not models:
        view = _list(registry)
    elif action == "show" and len(models) == 1:
        view = _show_version(registry, models[0]) if "@" in models[0] else _show(registry, models[0])
    elif action == "compare" and len(models) >= 2:
        view = _compare(registry, models)
    else:
        allowed = {"list": "none", "show": "one", "compare": "two or more"}[action]
        raise UsageError(f"models: {len(models)} given, {action} takes {allowed}")
    if arguments.json:
        print_json(view.data)
    elif view.tables:
        show(*view.tables)
    else:
        print("no models")  # noqa: T201


@dataclass(frozen=True)
class View:
    """Result of an action.

    Attributes:
        tables: Tables for a terminal.
        data: The same as plain data, for `--json`.
    """

    tables: Sequence[Table]
    data: Any


def _list(registry: Registry) -> View:
    table = Table("model", "versions", *_ALIASES, "task", "registered")
    data = []
    for name in registry.names():
        versions = _own_versions(registry, name)
        if not versions:
            continue
        numbers = {alias: version.record.number for version in versions for alias in version.aliases}
        last = versions[-1].record
        aliases = {alias: numbers.get(alias) for alias in _ALIASES}
        shown = ("" if number is None else str(number) for number in aliases.values())
        table.add_row(name, str(len(versions)), *shown, last.task, _minute(last.created))
        registered = last.created.isoformat()
        data.append({"model": name, "versions": len(versions), **aliases, "task": last.task, "registered": registered})
    return View([table] if data else [], data)


def _show(registry: Registry, model: str) -> View:
    versions = registry.versions(model)
    metrics = _shared([list(version.record.metrics) for version in versions])
    table = Table("version", "aliases", *metrics, "registered", "by", "digest")
    for version in versions:
        record = version.record
        values = (f"{record.metrics[name]:.4g}" for name in metrics)
        aliases = ", ".join(version.aliases)
        table.add_row(
            str(record.number), aliases, *values, _minute(record.created), record.registered_by, record.digest[:12]
        )
    entries = registry.history(model).entries
    history = Table("when", "who", "change", "gates", "reason")
    for entry in entries.values():
        refused = [gate["gate"] for gate in entry.gates if not gate["passed"]]
        gates = "" if not entry.gates else "passed" if not refused else f"overruled: {', '.join(refused)}"
        change = f"{entry.action}: {entry.alias} {entry.before or 'none'} -> {entry.after or 'none'}"
        history.add_row(_minute(datetime.fromisoformat(entry.when)), entry.who, change, gates, entry.reason or "")
    data = {
        "model": model,
        "versions": [{**_record(version), "aliases": list(version.aliases)} for version in versions],
        "history": [asdict(entry) for entry in entries.values()],
    }
    return View([table, history] if entries else [table], data)


def _show_version(registry: Registry, model: str) -> View:
    resolved = registry.resolve(model)
    manifest = Manifest.read(resolved.path)
    aliases = f" ({', '.join(resolved.aliases)})" if resolved.aliases else ""
    table = Table("", f"{resolved.name}@{resolved.version}{aliases}")
    for label, value in _facts(Candidate(model, resolved.path, manifest)).items():
        table.add_row(label, value)
    table.add_row("repository", repository_text(manifest.lineage))
    table.add_row("lightning-r2p", framework_text(manifest.lineage))
    table.add_row("created", str(manifest.lineage.get("created")))
    table.add_row("package", str(resolved.path))
    facts = {"model": resolved.name, "version": resolved.version, "aliases": list(resolved.aliases)}
    return View([table], {**facts, "package": str(resolved.path), "manifest": asdict(manifest)})


def _compare(registry: Registry, models: Sequence[str]) -> View:
    candidates = [registry.candidate(model) for model in models]
    table = Table("", *(candidate.name for candidate in candidates))
    facts = [_facts(candidate) for candidate in candidates]
    for label in dict.fromkeys(label for column in facts for label in column):
        table.add_row(label, *(column.get(label, "") for column in facts))
    against = ["", *(_against(one, candidates[0]) for one in candidates[1:])]
    table.add_row(f"error against {candidates[0].name}", *against)
    data = []
    for candidate, words in zip(candidates, against, strict=True):
        manifest = candidate.manifest
        size = sum(entry.bytes for entry in (manifest.files or {}).values())
        data.append(
            {
                "model": candidate.name,
                "metrics": manifest.metrics["values"],
                "bytes": size,
                "p50_ms": manifest.latency.get("p50_ms"),
                "card": manifest.card,
                "optimization": manifest.optimization,
                "error_against_first": words or None,
            }
        )
    return View([table], data)


def _record(version: Version) -> dict[str, Any]:
    record = version.record
    return {
        "version": record.number,
        "metrics": dict(record.metrics),
        "family": record.family,
        "task": record.task,
        "registered": record.created.isoformat(),
        "by": record.registered_by,
        "digest": record.digest,
    }


def _minute(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M} UTC"


def _against(candidate: Candidate, first: Candidate) -> str:
    try:
        ratio = error_ratio(candidate, first)
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


def _own_versions(registry: Registry, name: str) -> list[Version]:
    """Versions of a model; empty for a model that another application registered."""
    try:
        return registry.versions(name)
    except UsageError:
        return []
