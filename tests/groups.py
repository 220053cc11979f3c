"""A plugin that tells apart what runs beside what: tests on several workers, file by file, the longest first; and after
them alone what measures.
"""

import gc
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

ALONE = (
    *("system/test_pages_beside_a_bad_service.py", "system/test_delays.py"),
    *("test_bench.py::test_the_front", "trial_servers/test_others.py"),
    "system/test_misbehaviour_http.py::test_retry_after_is_obeyed_by_all",
    "nginx/test_changes.py::test_what_is_written_changed_and_deleted_shows_within_a_second_everywhere",
    "nginx/test_people.py::test_copies_are_served_while_the_web_is_dead",
)
"""What measures, and wants the machine for itself. Files, or single tests."""

SLOW = (
    *("browser", "local", "nginx", "ops", "plans", "providers", "system", "trial_servers", "test_bench.py"),
    *("test_dead_jobs.py", "test_monitoring.py", "test_settings.py", "test_soak.py"),
    *("dispatcher/test_bad_moments.py", "dispatcher/test_dead_jobs_command.py", "dispatcher/test_doubts.py"),
    *("dispatcher/test_limits_in_trouble.py", "web/test_hostile_requests.py", "web/test_rights.py"),
    "web/test_zones.py",
)
"""What starts processes, waits for time limits, or asks for everything: left out of `make test-fast`."""

WAITING = (
    *("trial_servers", "system", "test_soak.py", "local/test_run.py", "browser/test_first_minute.py", "test_bench.py"),
    *("dispatcher/test_doubts.py", "dispatcher/test_bad_moments.py", "ops", "nginx", "dispatcher", "providers"),
    *("test_monitoring.py", "test_settings.py", "local"),
)
"""What waits for others more than it works, the longest first. Workers of their own begin with it (`Groups`)."""

WORKING = (
    "browser",
    "web/test_hostile_requests.py",
    "plans",
    "web/test_rights.py",
    "web/test_admin.py",
    "web",
    "clients",
)
"""What the other workers begin with, lest it be waited for in the end."""

TOGETHER = ("plans", "ops")
"""Folders that make something large once, for all their files."""

APART = (
    *("system", "trial_servers", "dispatcher/test_doubts.py", "dispatcher/test_bad_moments.py", "test_settings.py"),
    *("test_soak.py", "test_bench.py", "local/test_run.py"),
)
"""Files, and folders of them, whose tests wait long and share nothing: any worker may take the next one."""

TESTS = Path(__file__).parent
PROCESSORS = os.cpu_count() or 1


@pytest.hookimpl(tryfirst=True)
def pytest_xdist_auto_num_workers() -> int:
    """Two for each processor, one of which mostly waits. (Asked before xdist's own answer.)"""
    return 2 * PROCESSORS


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    config.option.loadscopereorder = False  # the order below, not by the number of tests
    return Groups(config, log)


class Groups(LoadScopeScheduling):
    """Give each worker a group of tests at a time, which it runs one after the other.

    As many workers as there are processors take what works first, the others what waits; then each takes what is left.
    """

    def _split_scope(self, nodeid: str) -> str:
        path = _path(nodeid)
        if path.startswith(APART):
            return nodeid
        return next((folder for folder in TOGETHER if path.startswith(folder)), path.partition("::")[0])

    def _assign_work_unit(self, node: Any) -> None:
        waits = int(node.gateway.id.removeprefix("gw")) >= PROCESSORS
        for group in self.workqueue:
            if _path(group).startswith(WAITING) == waits:
                self.workqueue.move_to_end(group, last=False)
                break
        super()._assign_work_unit(node)


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Generator[None]:
    for item in items:
        path = _path(item.nodeid)
        if path.startswith(ALONE):
            item.add_marker("alone")
        if path.startswith((*SLOW, *ALONE)):
            item.add_marker("slow")
    yield  # pytest leaves out what was not asked for, and pytest-django sorts by what tests do to the database
    items.sort(key=_place)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Look for garbage seldom, and never among the half million objects that all tests share: a tenth of all time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def _place(item: pytest.Item) -> int:
    path, order = _path(item.nodeid), WAITING + WORKING
    return next((number for number, start in enumerate(order) if path.startswith(start)), len(order))


def _path(name: str) -> str:
    """The test's path and name, or its group's, in the folder of tests."""
    return name.removeprefix(f"{TESTS.name}/")
