"""Times of a column: text, dates and datetimes become microseconds, in UTC where there is a zone."""

import polars as pl

from features.sources.notes import Notes

_ISO = r"^\s*\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?)?\s*(?:[Zz]|[+-]\d{2}:?\d{2})?\s*$"

_TEXT = pl.col("text")
# A date alone ends in `-01`, which looks like an offset: a zone must follow a time of day.
_ZONE_OF = _TEXT.str.extract(r":\d{2}(?:[.,]\d+)?\s*([Zz]|[+-]\d{2}:?\d{2})$").str.to_uppercase()
_DATE, _MINUTES = _TEXT.str.slice(0, 10), _TEXT.str.extract(r"^.{11}(\d{2}:\d{2})").fill_null("00:00")
_SECONDS = _TEXT.str.extract(r"^.{16}:(\d{2}(?:[.,]\d+)?)").fill_null("00").str.replace(",", ".", literal=True)
_TIME_OF = pl.concat_str(_DATE, pl.lit("T"), _MINUTES, pl.lit(":"), _SECONDS).str.to_datetime(
    "%Y-%m-%dT%H:%M:%S%.f", time_unit="us", strict=False
)


def read_times(
    column: pl.Series, *, place: str, time_format: str | None, time_zone: str | None, notes: Notes
) -> pl.Series:
    """Converts a column to points in time.

    Args:
        column: Text, dates, datetimes, or whole numbers with a format.
        place: The column, for messages.
        time_format: Format of texts in chrono's notation; None for ISO 8601.
        time_zone: Zone of times without one; None keeps them without.
        notes: Takes the number of local times that occur twice as clocks go back.

    Returns:
        `Datetime("us")`, or `Datetime("us", "UTC")` if the times have a zone.

    Raises:
        ValueError: A value is no time, or zones are mixed.
    """
    if column.dtype.is_integer() and time_format is not None:
        column = column.cast(pl.String)
    if isinstance(column.dtype, pl.Categorical | pl.Enum):
        column = column.cast(pl.String)
    if column.dtype == pl.Date or column.dtype == pl.Null:
        column = column.cast(pl.Datetime("us"))
    if column.dtype == pl.String:
        return _from_text(column, place=place, time_format=time_format, time_zone=time_zone, notes=notes)
    if not isinstance(column.dtype, pl.Datetime):
        raise ValueError(
            f"{place} is {column.dtype}, a datetime is needed: datetimes, dates, or text in ISO 8601 or in a format "
            "that is given"
        )
    column = column.cast(pl.Datetime("us", column.dtype.time_zone))
    if column.dtype.time_zone is None:  # type: ignore[attr-defined]
        return _localize(column, place=place, time_zone=time_zone, notes=notes)
    return column.dt.convert_time_zone("UTC")


def _from_text(
    column: pl.Series, *, place: str, time_format: str | None, time_zone: str | None, notes: Notes
) -> pl.Series:
    texts = column.str.strip_chars()
    if time_format is not None:
        zoned = "%z" in time_format or "%:z" in time_format or "%#z" in time_format
        times = texts.str.to_datetime(time_format, time_unit="us", strict=False)
        if not zoned and times.null_count() > texts.null_count() and times.null_count() == len(texts):
            times = texts.str.to_date(time_format, strict=False).cast(pl.Datetime("us"))
        _check_parsed(texts, times, place=place, wanted=f"format {time_format!r}")
        if zoned:
            return times.dt.convert_time_zone("UTC")
        return _localize(times, place=place, time_zone=time_zone, notes=notes)
    parsed = (
        texts.alias("text")
        .to_frame()
        .select("text", wrong=~pl.col("text").str.contains(_ISO), zone=_ZONE_OF, time=_TIME_OF)
    )
    wrong, zones, times = parsed["wrong"], parsed["zone"], parsed["time"].alias(column.name)
    if wrong.any():
        wanted = "ISO 8601, such as 2024-05-01T13:45:00; other formats must be given"
        _refuse(texts, wrong.fill_null(value=False), place=place, wanted=wanted)
    _check_parsed(texts, times, place=place, wanted="ISO 8601")
    if zones.null_count() == len(zones):
        return _localize(times, place=place, time_zone=time_zone, notes=notes)
    known = zones.drop_nulls().unique().sort()
    has_naive = zones.null_count() > texts.null_count()
    if time_zone is None and (has_naive or len(known) > 1):
        what = "with and without a zone" if has_naive else f"of several zones ({', '.join(known.head(4))})"
        raise ValueError(f"{place} holds times {what}; write all in one zone, or give the source a time_zone")
    offsets = {zone: _offset(zone) for zone in known}
    shift = zones.replace_strict(offsets, default=0, return_dtype=pl.Int64).cast(pl.Duration("us"))
    utc = (times - shift).dt.replace_time_zone("UTC")
    if not has_naive:
        return utc
    local = _localize(times.set(zones.is_not_null(), None), place=place, time_zone=time_zone, notes=notes)
    return pl.select(pl.when(zones.is_not_null()).then(utc).otherwise(local)).to_series()


def _offset(zone: str) -> int:
    if zone == "Z":
        return 0
    minutes = int(zone[1:3]) * 60 + int(zone[-2:])
    return (-1 if zone[0] == "-" else 1) * minutes * 60_000_000


def _localize(times: pl.Series, *, place: str, time_zone: str | None, notes: Notes) -> pl.Series:
    if time_zone is None:
        return times
    try:
        early = times.dt.replace_time_zone(time_zone, ambiguous="earliest", non_existent="null")
    except pl.exceptions.PolarsError as error:
        raise ValueError(
            f"{place}: time_zone {time_zone!r} is unknown; an IANA name such as Europe/Berlin is needed"
        ) from error
    skipped = early.is_null() & times.is_not_null()
    if skipped.any():
        _refuse(
            times.cast(pl.String),
            skipped,
            place=place,
            wanted=f"a time that exists in {time_zone}: clocks went forward",
        )
    late = times.dt.replace_time_zone(time_zone, ambiguous="latest", non_existent="null")
    notes.add(
        place, f"have a local time that occurs twice in {time_zone}: the earlier is meant", int((early != late).sum())
    )
    return early.dt.convert_time_zone("UTC")


def _check_parsed(texts: pl.Series, times: pl.Series, *, place: str, wanted: str) -> None:
    wrong = times.is_null() & texts.is_not_null()
    if wrong.any():
        _refuse(texts, wrong, place=place, wanted=wanted)


def _refuse(texts: pl.Series, wrong: pl.Series, *, place: str, wanted: str) -> None:
    first = wrong.arg_max()
    assert first is not None
    more = f" and {int(wrong.sum()) - 1:,} more rows like it" if wrong.sum() > 1 else ""
    raise ValueError(f"{place} holds {texts[first]!r} in row {first + 1}{more}; needed is {wanted}")
