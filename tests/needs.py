"""What tests need of the machine and a newcomer may lack: there they are skipped with the reason, in CI they fail."""

import os
import shutil
import subprocess
from functools import cache
from typing import NoReturn

import pytest

SBIN = ("/usr/sbin", "/usr/local/sbin", "/usr/libexec/postfix")
"""Where Debian and others put servers, which an ordinary user's PATH leaves out."""


def missing(reason: str) -> NoReturn:
    """Skip the test, or fail it in CI."""
    if os.environ.get("CI"):
        pytest.fail(f"{reason} CI must not skip what it is to prove.")
    pytest.skip(reason)


def program(name: str, package: str, *asked: str) -> str:
    """The path of a program that works: one that is there and answers when asked, by default for its version."""
    path = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), *SBIN]))
    if path is None:
        missing(f"{name} is not installed (on Debian: apt install {package}).")
    if fault := _fault(path, *(asked or ("--version",))):
        missing(f"{name} is there and does not work: {fault}")
    return path


def compose() -> None:
    """docker compose, for tests that have it read files. What wants its engine is `make smoke`'s, so CI may lack it."""
    if shutil.which("docker") is None:
        pytest.skip("docker is not installed.")
    if fault := _fault("docker", "compose", "version"):
        pytest.skip(f"docker is there without its compose plugin: {fault}")


@cache
def _fault(*command: str) -> str:
    """Why the command does not work; nothing where it does."""
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=30, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if answer.returncode == 0:
        return ""
    said = (answer.stderr or answer.stdout).strip().splitlines()
    return said[0] if said else f"exit code {answer.returncode}"
