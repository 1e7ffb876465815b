"""Trial seeds: the seeds of the fits of a trial, and the fresh seeds of a re-evaluation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lightning_app.errors import UsageError
from sweeps.space.config_value import lookup

SEED_KEY = "seed_everything"


@dataclass(frozen=True)
class TrialSeeds:
    """Repetitions of a fit, numbered from the config's own seed on.

    Repetition 0 is the config as it is. Repetition `i` has `seed_everything` larger by `i`, and every other key of
    `values` too. All trials have the same repetitions, so that they are compared on equal draws.

    Attributes:
        values: Value in the base config by key; empty where the config is never repeated.
        first: The first repetition.
        count: How many there are.
    """

    values: Mapping[str, int]
    first: int = 0
    count: int = 1

    @classmethod
    def read(
        cls, base: Mapping[str, Any], *, keys: Sequence[str], varying: Sequence[str], count: int, repeats: bool
    ) -> "TrialSeeds":
        """Seeds of the trials of a search.

        Args:
            base: The resolved config that is varied.
            keys: Further keys that are counted up with `seed_everything`.
            varying: Keys of the space.
            count: Fits of each trial.
            repeats: Whether any trial is fitted on more than the config's own seed.

        Raises:
            UsageError: A key varies itself, or is no whole number in the config.
        """
        if not repeats:
            if keys:
                raise UsageError(
                    f"seed_keys: {keys[0]} is given, but every trial is one fit; add seeds_per_trial or reevaluate, or "
                    "take seed_keys out"
                )
            return cls({})
        values: dict[str, int] = {}
        for key in (SEED_KEY, *keys):
            place = f"seed_keys: {key}" if key in keys else key
            if key in varying:
                raise UsageError(f"{place}: it varies in the space, and seeds of a trial set it too; take one out")
            value = lookup(base, key.split("."))
            if isinstance(value, bool) or not isinstance(value, int):
                has = "no value" if value is None else repr(value)
                spelling = "; check its spelling, or" if value is None else ";"
                raise UsageError(
                    f"{place}: {has} in the config, a whole number is needed to count up from{spelling} give it by "
                    f"-- --{key} 0"
                )
            values[key] = value
        return cls(values, count=count)

    def fresh(self, count: int, *, used: Sequence[int] = ()) -> "TrialSeeds":
        """The repetitions that follow these, and every seed that was used.

        Args:
            count: How many.
            used: Values of `seed_everything`.
        """
        after = max(used, default=0) + 1 - self.values[SEED_KEY]
        return replace(self, first=max(self.first + self.count, after), count=count)

    @property
    def has_own_seed(self) -> bool:
        """Whether the first fit is of the config's own seed."""
        return not self.first

    @property
    def is_single(self) -> bool:
        """Whether there is one fit, of the config's own seed."""
        return self.has_own_seed and self.count == 1

    @property
    def numbers(self) -> list[int]:
        """`seed_everything` of each fit."""
        return [self.values.get(SEED_KEY, 0) + self.first + index for index in range(self.count)]

    def options(self, index: int) -> list[str]:
        """Options of one fit; none for the config's own seed.

        Args:
            index: Which of the fits, from 0.
        """
        added = self.first + index
        return [f"--{key}={value + added}" for key, value in self.values.items()] if added else []

    def suffix(self, index: int) -> str:
        """What tells the folder of one fit from those of the others; empty for the config's own seed.

        Args:
            index: Which of the fits, from 0.
        """
        return f"-seed-{self.numbers[index]}" if self.first + index else ""
