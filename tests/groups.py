"""A plugin that tells apart what runs beside what: tests on several workers, file by file, the longest first; and after
them alone what measures.
"""

import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

ALONE = (
    *("test_bench.py", "test_soak.py", "local/test_run.py", "browser/test_first_minute.py"),
    *("system/test_pages_beside_a_bad_service.py", "system/test_fairness.py", "system/test_delays.py"),
    "system/test_misbehaviour_http.py::test_retry_after_is_obeyed_by_all",
    "nginx/test_changes.py::test_what_is_written_changed_and_deleted_shows_within_a_second_everywhere",
    "nginx/test_people.py::test_copies_are_served_while_the_web_is_dead",
    "trial_servers/test_others.py",
)
"""What measures, or starts all of an installation: it wants the machine for itself. Files, or single tests."""

PROCESSES = (
    *("browser", "local", "nginx", "ops", "plans", "providers", "system", "trial_servers"),
    *("dispatcher/test_limits_in_trouble.py", "test_monitoring.py"),
)
"""What starts processes of its own, or waits for time limits: left out of `make test-fast`."""

TOGETHER = ("plans", "ops")
"""Folders that make something large once, for all their files."""

APART = ("system", "trial_servers", "dispatcher/test_doubts.py", "test_settings.py")
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
    """Three for two processors: tests wait for sockets and processes. (Asked before xdist's own answer.)"""
    return max(2, 3 * (os.cpu_count() or 1) // 2)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    config.option.loadscopereorder = False  # the order below, not by the number of tests
    return Groups(config, log)


class Groups(LoadScopeScheduling):
    """Give each worker a group of tests at a time, which it runs one after the other."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0].removeprefix(f"{TESTS.name}/")
        if path.startswith(APART):
            return nodeid
        return next((folder for folder in TOGETHER if path.startswith(folder)), path)


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Generator[None]:
    for item in items:
        name = f"{_path(item)}::{item.name}"
        if name.startswith(ALONE):
            item.add_marker("alone")
        if name.startswith((*PROCESSES, *ALONE)):
            item.add_marker("processes")
    yield  # pytest leaves out what was not asked for, and pytest-django sorts by what tests do to the database
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    path = _path(item)
    return next((number for number, start in enumerate(LONGEST) if path.startswith(start)), len(LONGEST))


def _path(item: pytest.Item) -> str:
    return item.path.relative_to(TESTS).as_posix()
