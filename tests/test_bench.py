"""The benchmarks run, on a small scale; what they measure is for a quiet machine to say."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench import front, wire
from tests import needs

ROOT = Path(__file__).parents[1]


@pytest.fixture
def postfix():
    for tool in ("smtp-sink", "smtp-source"):
        try:
            wire.tool(tool)
        except SystemExit as error:
            needs.missing(str(error))


@pytest.fixture
def nginx():
    needs.program("nginx", "nginx", "-v")
    if fault := front.missing():
        needs.missing(fault)


@pytest.mark.parametrize(
    "call",
    [
        "mailing.run(letters=400, rounds=1)",
        "starts.run(starts=2)",
        "million.run(large=600, small=300, rounds=2)",
        "stops.launches(clients=300, suppressed=300, rounds=1)",
        "stops.clicks(number=150)",
    ],
)
def test_a_benchmark_says_its_figure(postfix, call):
    said = run(call)
    assert call.partition(".")[0].removesuffix("s") in said.splitlines()[-1]


def test_the_front_is_measured_beside_a_file_and_without_its_copies(nginx):
    *rates, last = run("front.run(seconds=1, rounds=1)").splitlines()
    assert len(rates) == 1
    assert all(rate > 0 for rate in map(float, re.findall(r"([\d.]+)/s", rates[0].replace(",", ""))))
    found = re.match(r"front: ([\d.]+) of a static file .* ([\d.,]+) times Django alone", last)
    assert float(found[1]) > 0.2
    assert float(found[2].replace(",", "")) > 5


def run(call):
    """What the benchmark printed."""
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_URL")}
    answer = subprocess.run(
        [sys.executable, "-c", f"from bench import {call.partition('.')[0]}; {call}"],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout
