"""Layout of features as a network takes them: which are numbers, categories, vectors and texts."""

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
import polars as pl

_RESERVED = 2
"""Categories 0 and 1 of every column: unknown and missing."""


class CategoryColumn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A feature that is a category.

    Attributes:
        name: Column of the feature table.
        size: Number of categories, with 0 for unknown and 1 for missing ones.
        shift: What is added to the values of the column: 0 if they have the two reserved numbers already.
    """

    name: str
    size: int
    shift: int = 0


class VectorColumn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A feature that is a vector.

    Attributes:
        name: Column of the feature table.
        size: Length of the vector.
    """

    name: str
    size: int


class Layout(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Columns of a feature table in the order in which a network takes them.

    Attributes:
        numbers: Numbers and truth values.
        categories: Categories.
        vectors: Vectors, one after the other.
        texts: The text, if there is one; no array, because a tokenizer comes between.
    """

    numbers: tuple[str, ...] = ()
    categories: tuple[CategoryColumn, ...] = ()
    vectors: tuple[VectorColumn, ...] = ()
    texts: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        table: pl.DataFrame,
        columns: Mapping[str, str],
        *,
        sizes: Mapping[str, int],
        reserved: Sequence[str],
        texts: Sequence[str] = (),
    ) -> "Layout":
        """The layout of a feature table.

        Args:
            table: The table.
            columns: Full name of each feature to its column.
            sizes: Number of values of the features that are categories, by full name.
            reserved: Those of them whose values have numbers for unknown and missing already.
            texts: Features that are texts, by full name.

        Raises:
            ValueError: A feature is a column of text or a time, which no network takes, or several are texts.
        """
        if len(texts) > 1:
            raise ValueError(
                f"features {', '.join(map(repr, texts))} are texts, a network takes one; join their columns in one "
                "feature, `kind: text` with `columns: [...]`, and name that one in data.features"
            )
        numbers: list[str] = []
        categories: list[CategoryColumn] = []
        vectors: list[VectorColumn] = []
        for full, name in columns.items():
            dtype = table.schema[name]
            if full in texts:
                continue
            if full in sizes:
                shift = 0 if full in reserved else _RESERVED
                categories.append(CategoryColumn(name=name, size=sizes[full] + shift, shift=shift))
            elif isinstance(dtype, pl.Array | pl.List):
                lengths = table[name].list.len() if isinstance(dtype, pl.List) else None
                size = dtype.size if isinstance(dtype, pl.Array) else int(lengths.max() or 0)  # type: ignore[union-attr, arg-type]
                vectors.append(VectorColumn(name=name, size=size))
            elif dtype.is_numeric() or dtype in (pl.Boolean, pl.Null):
                numbers.append(name)
            else:
                advice = (
                    "`kind: calendar` or `kind: elapsed`"
                    if dtype.is_temporal()
                    else "`kind: vocabulary` or `hash` (a category), `kind: text` (a text for a text encoder)"
                )
                raise ValueError(
                    f"feature {full!r} is {dtype}, which a network does not take; add {advice} on it, and leave "
                    "it out of data.features"
                )
        return cls(
            numbers=tuple(numbers),
            categories=tuple(categories),
            vectors=tuple(vectors),
            texts=tuple(columns[full] for full in texts),
        )

    def arrays(self, table: pl.DataFrame) -> dict[str, np.ndarray]:
        """The features of a table.

        Args:
            table: A feature table.

        Returns:
            `numbers` float32 (N, F) with NaN where missing, `categories` int64 (N, K), `vectors` float32 (N, V); those
            that the layout has.

        Raises:
            ValueError: A number does not fit float32.
        """
        arrays: dict[str, np.ndarray] = {}
        if self.numbers:
            arrays["numbers"] = self._numbers(table)
            for row, problem in self.problems(table).items():
                raise ValueError(f"row {row + 1}: {problem}")
        if self.categories:
            arrays["categories"] = (
                table.select(
                    (pl.col(column.name).cast(pl.Int64) + column.shift).fill_null(1) for column in self.categories
                )
                .to_numpy()
                .astype(np.int64)
            )
        if self.vectors:
            parts = [
                np.stack([_vector(cell, column.size) for cell in table[column.name].to_list()])
                if len(table)
                else np.zeros((0, column.size), dtype=np.float32)
                for column in self.vectors
            ]
            arrays["vectors"] = np.concatenate(parts, axis=1)
        return arrays

    def problems(self, table: pl.DataFrame) -> dict[int, str]:
        """Rows with a number that does not fit float32, and the first such feature of each.

        Args:
            table: A feature table.
        """
        if not self.numbers:
            return {}
        problems: dict[int, str] = {}
        for row, column in np.argwhere(np.isinf(self._numbers(table))).tolist():
            name = self.numbers[column]
            value = float(table[name][row])
            problems.setdefault(row, f"feature {name!r} is {value:g}, a finite number within float32 is needed")
        return problems

    def _numbers(self, table: pl.DataFrame) -> np.ndarray:
        with np.errstate(over="ignore"):
            return table.select(pl.col(name).cast(pl.Float64) for name in self.numbers).to_numpy().astype(np.float32)


def _vector(cell: Sequence[float] | None, size: int) -> np.ndarray:
    return np.zeros(size, dtype=np.float32) if cell is None else np.asarray(cell, dtype=np.float32)
