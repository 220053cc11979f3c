"""The benchmarks run, on a small scale; what they measure is for a quiet machine to say."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench import wire

ROOT = Path(__file__).parents[1]


@pytest.fixture
def postfix():
    try:
        wire.tool("smtp-sink")
    except SystemExit as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.mark.parametrize("call", ["mailing.run(letters=400, rounds=1)", "starts.run(starts=2)"])
def test_a_benchmark_says_its_figure(postfix, call):
    name = call.partition(".")[0]
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_URL")}
    answer = subprocess.run(
        [sys.executable, "-c", f"from bench import {name}; {call}"],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert f"{name.removesuffix('s')}" in answer.stdout.splitlines()[-1]
