"""Rate limits: requests per second and rows per day of a key, over several workers."""

import subprocess
import sys
import time

import pytest

from lightning_app.errors import UsageError
from lightning_app.serving.security.access_error import AccessError
from lightning_app.serving.security.key_file import KeyEntry
from lightning_app.serving.security.rate_limits import RateLimits

_WORKER = """
import sys, time
from pathlib import Path
from lightning_app.serving.security.access_error import AccessError
from lightning_app.serving.security.key_file import KeyEntry
from lightning_app.serving.security.rate_limits import RateLimits

entry = KeyEntry(id="a", sha256="0" * 64, scopes=["predict"], rate=200.0, burst=50, rows_per_day=3000)
limits = RateLimits(path=Path(sys.argv[1]))
limits.take([entry])
answered, rows, begin = 0, 0, time.monotonic()
for _ in range(int(sys.argv[2])):
    try:
        limits.request(entry)
        answered += 1
    except AccessError:
        pass
    try:
        limits.rows(entry, 7)
        rows += 7
    except AccessError:
        pass
print(answered, rows, begin, time.monotonic())
"""


def _key(**limits):
    return KeyEntry(id="a", sha256="0" * 64, scopes=["predict"], **limits)


def _limits(path, *entries):
    limits = RateLimits(path=path / "counters")
    limits.take(entries)
    return limits


def test_a_burst_is_answered_and_then_the_rate(tmp_path):
    key = _key(rate=50.0, burst=3)
    limits = _limits(tmp_path, key)
    for _ in range(3):
        limits.request(key)
    with pytest.raises(AccessError) as refused:
        limits.request(key)
    assert (refused.value.status, refused.value.code) == (429, "rate_exceeded")
    assert 0 < refused.value.retry_after <= 0.02
    time.sleep(0.021)
    limits.request(key)


def test_workers_share_one_rate_and_one_budget(tmp_path):
    words = [sys.executable, "-c", _WORKER, str(tmp_path / "counters"), "2000"]
    workers = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    lines = [worker.communicate()[0].split() for worker in workers]
    seconds = max(float(end) for *_, end in lines) - min(float(begin) for _, _, begin, _ in lines)
    answered = sum(int(requests) for requests, *_ in lines)
    # Any speed of the machine: at least the burst, and never more than the burst and the rate in this time.
    assert 50 <= answered <= 50 + 200 * seconds + 1
    assert sum(int(rows) for _, rows, *_ in lines) == 3000 // 7 * 7  # no update was lost


def test_rows_are_counted_per_day_and_refused_requests_take_none(tmp_path):
    key = _key(rows_per_day=10)
    limits = _limits(tmp_path, key)
    limits.rows(key, 8)
    with pytest.raises(AccessError, match="2 are left and 3 were sent") as refused:
        limits.rows(key, 3)
    assert refused.value.code == "budget_exceeded"
    assert 0 < refused.value.retry_after <= 86_400
    with pytest.raises(AccessError) as refused:
        limits.rows(key, 11)
    assert refused.value.retry_after is None  # no day is long enough
    limits.rows(key, 2)
    again = _limits(tmp_path, key)  # another worker, or the server started again with the same file
    with pytest.raises(AccessError, match="0 are left"):
        again.rows(key, 1)


def test_keys_without_limits_are_not_counted_and_new_ones_are_found_after_a_reload(tmp_path):
    free, limited = _key(), KeyEntry(id="b", sha256="1" * 64, scopes=["predict"], rate=1.0)
    limits = _limits(tmp_path, free)
    limits.request(free)
    limits.rows(free, 10**9)
    limits.take([free, limited])
    limits.request(limited)
    with pytest.raises(AccessError):
        limits.request(limited)


def test_a_foreign_file_is_not_overwritten(tmp_path):
    (tmp_path / "counters").write_text("notes")
    with pytest.raises(UsageError, match="remove it"):
        RateLimits(path=tmp_path / "counters")
    assert (tmp_path / "counters").read_text() == "notes"
