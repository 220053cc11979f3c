"""A plugin that tells apart what runs beside what: tests run by file, on several workers; whole systems alone, after
them.
"""

import os
from collections.abc import Iterable
from pathlib import Path

import pytest

WHOLE = ("system", "browser", "trial_servers", "local/test_run.py", "test_soak.py", "test_bench.py")
"""What starts all of an installation, or measures: it wants the machine for itself."""

PROCESSES = ("nginx", "local", "ops", "providers", "plans", "dispatcher/test_limits_in_trouble.py")
"""What starts some process of its own, or waits for time limits: left out of `make test-fast`."""

TESTS = Path(__file__).parent


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Two a processor: half of the time tests wait for a socket or a process."""
    return 2 * (os.cpu_count() or 1)


def pytest_collection_modifyitems(items: Iterable[pytest.Item]) -> None:
    for item in items:
        path = item.path.relative_to(TESTS).as_posix()
        if path.startswith(WHOLE):
            item.add_marker("whole")
        elif path.startswith(PROCESSES):
            item.add_marker("processes")
