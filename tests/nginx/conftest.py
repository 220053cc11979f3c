"""The real nginx on the project's own configuration, in front of a web that does what the test says."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import needs
from tests.local.helpers import free_port
from tests.nginx.client import Front
from tests.nginx.site import HOST, Gunicorn, collect_static
from tests.nginx.web import Web
from tests.system.processes import Dispatcher, of_tests

SECRET = "only-the-front-knows-this"
HSTS = "max-age=31536000"


@pytest.fixture(scope="session")
def nginx() -> str:
    """Where it is."""
    return needs.program("nginx", "nginx", "-v")


@pytest.fixture
def web() -> Iterator[Web]:
    with Web() as web:
        yield web


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    """Where static and media files are."""
    folders = {name: tmp_path / name for name in ("static", "media")}
    for folder in folders.values():
        folder.mkdir()
    return folders


@pytest.fixture
def front(nginx: str, web: Web, folders: dict[str, Path], tmp_path: Path) -> Iterator[Front]:
    front = Front(tmp_path / "nginx", web=f"127.0.0.1:{web.port}", secret=SECRET, hsts=HSTS, **folders)
    with front:
        yield front
    complaints = [line for line in front.error_log.read_text().splitlines() if "[emerg]" in line or "[alert]" in line]
    assert not complaints
    for log in (front.log, front.error_log):
        assert SECRET not in log.read_text()


# The real site


@dataclass(frozen=True)
class Processes:
    """The web and the dispatcher's control process, which knows where nginx will be."""

    web: Gunicorn
    static: Path
    front_port: int
    front_url: str


@pytest.fixture(scope="package")
def processes(nginx: str, django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    logs, port = tmp_path_factory.mktemp("logs"), free_port()
    url = f"http://127.0.0.1:{port}"
    static = tmp_path_factory.mktemp("static")
    known = {"FRONT_SECRET": SECRET, "FRONT_URL": url, "SITE_URL": f"http://{HOST}", "ALLOWED_HOSTS": HOST}
    environment = of_tests(9, **known, TRUSTED_PROXIES="1", STATIC_ROOT=str(static))
    collect_static(environment)
    with Dispatcher(environment, logs, "control"), Gunicorn(environment, free_port(), logs / "web.log") as web:
        yield Processes(web, static, port, url)


@pytest.fixture
def gunicorn(processes: Processes) -> Gunicorn:
    return processes.web


@pytest.fixture
def site(
    processes: Processes,
    transactional_db: None,
    valkey: None,
    settings: Any,
    folders: dict[str, Path],
    tmp_path: Path,
) -> Iterator[Front]:
    """nginx without a copy, in front of a site without a post."""
    settings.FRONT_URL, settings.FRONT_SECRET, settings.SITE_URL = processes.front_url, SECRET, f"http://{HOST}"
    web, port, folders = f"127.0.0.1:{processes.web.port}", processes.front_port, folders | {"static": processes.static}
    with Front(tmp_path / "nginx", web=web, port=port, secret=SECRET, **folders) as front:
        yield front
