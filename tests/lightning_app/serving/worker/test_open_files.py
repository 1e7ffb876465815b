"""Open files of a worker."""

import logging
import resource

import pytest

from lightning_app.serving.worker.open_files import allow_connections


@pytest.fixture
def limit():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield before
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_the_soft_limit_is_raised_to_what_the_connections_need(limit, caplog):
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, limit[1]))
    with caplog.at_level(logging.WARNING):
        allow_connections(400)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (656, limit[1])
    allow_connections(10)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (656, limit[1])  # never lowered
    assert not caplog.records


def test_a_hard_limit_below_the_need_is_said(limit, caplog):
    if limit[1] == resource.RLIM_INFINITY:
        pytest.skip("this system has no hard limit of open files")
    with caplog.at_level(logging.WARNING):
        allow_connections(limit[1])
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == limit[1]
    assert "limits.connections" in caplog.text
