"""A plugin that tells apart what runs beside what: tests on several workers, file by file, the longest first; and after
them alone what measures.
"""

import os
from pathlib import Path

import pytest

ALONE = (
    *("test_bench.py", "test_soak.py", "local/test_run.py", "browser/test_first_minute.py"),
    *("system/test_pages_beside_a_bad_service.py", "system/test_fairness.py", "system/test_delays.py"),
    "trial_servers/test_others.py",
)
"""What measures, or starts all of an installation: it wants the machine for itself."""

PROCESSES = (
    *("browser", "local", "nginx", "ops", "plans", "providers", "system", "trial_servers"),
    *("dispatcher/test_limits_in_trouble.py", "test_monitoring.py"),
)
"""What starts processes of its own, or waits for time limits: left out of `make test-fast`."""

TOGETHER = ("plans", "ops")
"""Folders that make something large once, for all their files."""

APART = ("system", "trial_servers", "browser/test_accessible.py", "dispatcher/test_doubts.py", "test_settings.py")
"""Files, and folders of them, whose tests wait long and share nothing: any worker may take the next one."""

LONGEST = (
    *("plans", "browser", "trial_servers", "ops", "nginx", "system", "web/test_hostile_requests.py"),
    *("test_monitoring.py", "providers", "dispatcher", "web/test_admin.py", "web/test_accounts.py"),
    *("web/test_panel.py", "web/test_runs.py"),
)
"""What begins first, lest it be waited for in the end."""

TESTS = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_xdist_auto_num_workers() -> int:
    """Two a processor: half of the time tests wait for a socket or a process. (Asked before xdist's own answer.)"""
    return 2 * (os.cpu_count() or 1)


def pytest_configure(config: pytest.Config) -> None:
    config.option.loadscopereorder = False  # the order below, not by the number of tests


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        path = item.path.relative_to(TESTS).as_posix()
        if path.startswith(ALONE):
            item.add_marker("alone")
        if path.startswith((*PROCESSES, *ALONE)):
            item.add_marker("processes")
        if not path.startswith(APART):  # those of a group run one after the other, on the same worker
            group = next((folder for folder in TOGETHER if path.startswith(folder)), path)
            item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    path = item.path.relative_to(TESTS).as_posix()
    places = (number for number, start in enumerate(LONGEST) if path.startswith(start))
    return next(places, len(LONGEST))
