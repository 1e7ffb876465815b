"""`lightning-app models list|show|compare`: what a registry holds."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from rich.table import Table

from lightning_app.errors import UsageError
from lightning_app.packaging.format.manifest import Manifest
from lightning_app.packaging.format.provenance import framework_text, repository_text
from lightning_app.registry.commands.promotion_commands import REGISTRY_HELP
from lightning_app.registry.promotion.comparison import Candidate, NotComparableError, compare_errors
from lightning_app.registry.registry import Registry, Version
from lightning_app.terminal import print_json, show
from lightning_app.verb_parser import VerbParser

_ALIASES = ("champion", "challenger", "shadow")


def run(args: list[str]) -> None:
    """Runs the verb; see `--help`.

    Args:
        args: The command line, verb first.
    """
    parser = VerbParser("models", description="What the registry holds.", epilog="")
    parser.add_argument("action", choices=("list", "show", "compare"), help="list all, show one, compare two or more")
    parser.add_argument("models", nargs="*", help="NAME, NAME@VERSION or NAME@ALIAS; to compare, also folders")
    parser.add_argument("--registry", default=None, help=REGISTRY_HELP)
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    given = parser.parse_args(args[1:])
    registry, count = Registry(given.registry), len(given.models)
    if given.action == "list" and not count:
        found = _list(registry)
    elif given.action == "show" and count == 1:
        found = _show_version(registry, given.models[0]) if "@" in given.models[0] else _show(registry, given.models[0])
    elif given.action == "compare" and count >= 2:
        found = _compare(registry, given.models)
    else:
        wanted = {"list": "none", "show": "one", "compare": "two or more"}[given.action]
        raise UsageError(f"models: {count} given, {given.action} takes {wanted}")
    if given.json:
        print_json(found.data)
    elif found.tables:
        show(*found.tables)
    else:
        print("no models")  # noqa: T201


@dataclass(frozen=True)
class Shown:
    """What an action found: as tables for a person, as plain data for a program."""

    tables: Sequence[Table]
    data: Any


def _list(registry: Registry) -> Shown:
    table = Table("model", "versions", *_ALIASES, "task", "registered")
    data = []
    for name in registry.names():
        versions = _versions_or_none(registry, name)
        if not versions:
            continue
        numbers = {alias: version.record.number for version in versions for alias in version.aliases}
        last = versions[-1].record
        aliases = {alias: numbers.get(alias) for alias in _ALIASES}
        shown = ("" if number is None else str(number) for number in aliases.values())
        table.add_row(name, str(len(versions)), *shown, last.task, _minute(last.created))
        registered = last.created.isoformat()
        data.append({"model": name, "versions": len(versions), **aliases, "task": last.task, "registered": registered})
    return Shown([table] if data else [], data)


def _show(registry: Registry, model: str) -> Shown:
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
        change = f"{entry.action}: {entry.alias} {entry.before or 'none'} -> {entry.after}"
        history.add_row(_minute(datetime.fromisoformat(entry.when)), entry.who, change, gates, entry.reason or "")
    data = {
        "model": model,
        "versions": [{**_record(version), "aliases": list(version.aliases)} for version in versions],
        "history": [asdict(entry) for entry in entries.values()],
    }
    return Shown([table, history] if entries else [table], data)


def _show_version(registry: Registry, model: str) -> Shown:
    found = registry.resolve(model)
    manifest = Manifest.read(found.path)
    aliases = f" ({', '.join(found.aliases)})" if found.aliases else ""
    table = Table("", f"{found.name}@{found.version}{aliases}")
    for label, value in _facts(Candidate(model, found.path, manifest)).items():
        table.add_row(label, value)
    table.add_row("repository", repository_text(manifest.lineage))
    table.add_row("lightning-r2p", framework_text(manifest.lineage))
    table.add_row("created", str(manifest.lineage.get("created")))
    table.add_row("package", str(found.path))
    known = {"model": found.name, "version": found.version, "aliases": list(found.aliases), "package": str(found.path)}
    return Shown([table], {**known, "manifest": asdict(manifest)})


def _compare(registry: Registry, models: Sequence[str]) -> Shown:
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
    return Shown([table], data)


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
