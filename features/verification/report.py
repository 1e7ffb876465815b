"""Report of a verification: per feature the number of compared and of different values, and an example."""

from dataclasses import dataclass, field

WIDTH = 80


@dataclass(kw_only=True)
class FeatureCheck:
    """Comparison of one feature.

    Attributes:
        name: Full name, `view.feature`.
        rows: Values compared, online and batch.
        differ: Values, or reasons of missing values, that differ.
        largest: Largest difference of numbers, relative to the larger of the two.
        example: A row that differs; None if none does.
        future_rows: Values compared after a change of the future.
        moved: Values that moved with the future.
        moved_example: A value that moved; None if none did.
    """

    name: str
    rows: int = 0
    differ: int = 0
    largest: float = 0.0
    example: str | None = None
    future_rows: int = 0
    moved: int = 0
    moved_example: str | None = None


@dataclass(kw_only=True)
class Report:
    """Outcome of `verify`.

    Attributes:
        checks: One per feature of history.
        events: Number of events replayed, by view.
        tolerance: Difference, relative to the larger value, up to which numbers are equal.
        notes: Counts of rows that were left out while tables were read.
    """

    checks: list[FeatureCheck] = field(default_factory=list)
    events: dict[str, int] = field(default_factory=dict)
    tolerance: float
    notes: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether online equals batch everywhere and no feature moved with the future."""
        return not any(check.differ or check.moved for check in self.checks)

    def to_text(self) -> str:
        """The report as text of at most 80 columns."""
        name_width = min(max([len(check.name) for check in self.checks] + [7]), 34)
        head = f"{'feature':{name_width}}{'rows':>10}{'differ':>8}{'largest':>9}{'future':>9}{'moved':>7}"
        lines = [f"{view}: {count:,} events replayed one by one" for view, count in self.events.items()]
        lines += ["", head]
        for check in self.checks:
            lines += _wrapped_name(check.name, name_width)
            lines[-1] = (
                f"{lines[-1]:{name_width}}{check.rows:>10,}{check.differ:>8,}{check.largest:>9.1e}"
                f"{check.future_rows:>9,}{check.moved:>7,}"
            )
        lines.append("")
        for check in self.checks:
            for what, example in (("differs", check.example), ("moved with the future", check.moved_example)):
                if example is not None:
                    lines += _folded(f"{check.name} {what}: {example}")
        lines += [line for note in self.notes for line in _folded(f"note: {note}")]
        if self.holds:
            verdict = f"online equals batch within {self.tolerance:.0e}, and no feature sees the future"
        else:
            wrong = sum(bool(check.differ) for check in self.checks)
            moved = sum(bool(check.moved) for check in self.checks)
            verdict = f"{wrong} features differ between online and batch, {moved} moved with the future"
        return "\n".join([*lines, verdict])


def _wrapped_name(name: str, width: int) -> list[str]:
    return [name[i : i + width] for i in range(0, len(name), width)]


def _folded(text: str) -> list[str]:
    lines = [""]
    for word in text.split(" "):
        if len(lines[-1]) + len(word) + 1 > WIDTH and lines[-1].strip():
            lines.append("   ")
        lines[-1] += f" {word}" if lines[-1] else word
    return lines
