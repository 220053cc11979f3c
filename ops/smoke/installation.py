"""An installation of its own: another project, another port, volumes that are gone afterwards."""

import json
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ops import OpsError
from ops.compose import Compose, run
from ops.smoke.visitor import Visitor

PROJECT = "vestnik-smoke"
PAGE = 1000
DJANGO = "import django; django.setup()\n"


class Installation:
    """The containers, and ways of looking at them."""

    def __init__(self, compose: Compose, port: int, env_file: Path) -> None:
        self.compose = compose
        self._env_file = env_file
        self.url = f"http://localhost:{port}"

    def containers(self, service: str) -> list[str]:
        """Return the ids of a service's containers, running or not."""
        return self.compose("ps", "--all", "--quiet", service).split()

    def all(self) -> list[str]:
        """Return the ids of all containers, running or not."""
        return self.compose("ps", "--all", "--quiet").split()

    def tell(self, variables: dict[str, str]) -> None:
        """Tell it these variables from the next start on, beside what it was told before."""
        with self._env_file.open("a") as file:
            file.write(_assigned(variables))

    def django(self, script: str, service: str = "web") -> str:
        """Run a script with Django set up in a container; return what it prints."""
        return self.compose("exec", "-T", service, "python", "-c", DJANGO + script)

    def manage(self, *arguments: str, given: str = "") -> str:
        """Run a command of the web's manage.py with this on its standard input; return what it prints."""
        return self.compose("exec", "-T", "web", "python", "-m", "django", *arguments, input=given)

    def inbox(self, path: str) -> tuple[Any, int]:
        """Return the inbox's answer through nginx, and how many letters it counts. Raises OpsError if it is not 200."""
        answer = Visitor(self.url).get(f"/inbox/api/{path}")
        if answer.status != 200:
            raise OpsError(f"The inbox answers {answer.status} for {path}.")
        return json.loads(answer.body), int(answer.headers.get("X-Total-Count") or 0)

    def letters_with(self, subject: str) -> int:
        """Count the letters that have this in their heads."""
        return self.inbox(f"letters?limit=0&search={quote(subject)}")[1]

    def received(self, subject: str) -> Counter[str]:
        """Count the letters with this subject that each address got."""
        found: Counter[str] = Counter()
        for offset in range(0, self.letters_with(subject), PAGE):
            letters, _ = self.inbox(f"letters?search={quote(subject)}&limit={PAGE}&offset={offset}")
            found.update(letter["recipient"] for letter in letters)
        return found


@contextmanager
def installation(variables: dict[str, str]) -> Iterator[Installation]:
    """Make one that is told these variables, not started yet. In the end nothing is left of it but the images."""
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="vestnik-smoke-") as folder:
        env_file = Path(folder, "env")
        env_file.write_text(_assigned({"PORT": str(port), **variables}))
        compose = Compose(PROJECT, env_file)
        if run(["docker", "ps", "--quiet", "--filter", f"label=com.docker.compose.project={PROJECT}"]):
            raise OpsError(f"{PROJECT} runs already; docker compose -p {PROJECT} down --volumes ends it.")
        try:
            yield Installation(compose, port, env_file)
        except OpsError:
            sys.stdout.write(compose("logs", "--no-color", "--tail", "40") + "\n")
            raise
        finally:
            compose("down", "--volumes", "--remove-orphans", "--timeout", "5")


def eventually(what: str, look: Callable[[], Any], seconds: float = 60, pause: float = 0.1) -> Any:
    """Return the first answer of `look` that counts as true. Raises OpsError, saying `what`, if none comes in time."""
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        if time.monotonic() > deadline:
            raise OpsError(f"In {seconds:g} seconds it did not come to this: {what}.")
        time.sleep(pause)
    return seen


def inspect(*ids: str) -> list[dict[str, Any]]:
    """Return what the engine knows of containers or images."""
    return list(json.loads(run(["docker", "inspect", *ids])))


def _assigned(variables: dict[str, str]) -> str:
    return "".join(f"{name}='{value}'\n" for name, value in variables.items())


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
