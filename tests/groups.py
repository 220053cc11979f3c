"""A plugin that tells apart what runs beside what: tests run by file, on several workers; whole systems alone, after
them.
"""

import os
from pathlib import Path

import pytest

WHOLE = ("system", "browser", "trial_servers", "local/test_run.py", "test_soak.py", "test_bench.py")
"""What starts all of an installation, or measures: it wants the machine for itself."""

PROCESSES = ("nginx", "local", "ops", "providers", "plans", "dispatcher/test_limits_in_trouble.py")
"""What starts some process of its own, or waits for time limits: left out of `make test-fast`."""

LONG = (
    *("web/test_hostile_requests.py", "dispatcher/test_doubts.py", "dispatcher/test_bad_moments.py"),
    *("test_settings.py", "ops/test_restore.py", "dispatcher/test_limits.py", "dispatcher/test_breaker.py", "plans"),
    *("web/test_runs.py", "web/test_admin.py", "ops", "providers", "nginx", "local", "test_dead_jobs.py"),
    *("test_monitoring.py", "dispatcher"),
)
"""What takes longest begins first, so that no worker is left alone with it at the end."""

TESTS = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)  # xdist has one of its own
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Two a processor: half of the time tests wait for a socket or a process."""
    return 2 * (os.cpu_count() or 1)


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False  # the order below, and not that of how many tests a file has


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_place)  # stable
    for item in items:
        path = _path(item)
        if path.startswith(WHOLE):
            item.add_marker("whole")
        elif path.startswith(PROCESSES):
            item.add_marker("processes")


def _path(item: pytest.Item) -> str:
    return item.path.relative_to(TESTS).as_posix()


def _place(item: pytest.Item) -> int:
    path = _path(item)
    return next((number for number, start in enumerate(LONG) if path.startswith(start)), len(LONG))
