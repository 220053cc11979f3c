"""How many letters a second a provider hands over, beside what the wire takes in the same run.

    python bench/provider.py [--letters 20000] [--rounds 3]

Postfix's smtp-source and the provider (20 and 50 connections, one lane and two) take turns at Postfix's smtp-sink,
with letters of 4 kB. It prints each round, and the medians with their ratio to the wire.
"""

import argparse
import itertools
import os
import shutil
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from dispatcher.providers.base import Letter, Outcome
from dispatcher.providers.smtp import SmtpProvider
from dispatcher.providers.url import SmtpConfig

SIZE = 4096
HOST = "127.0.0.1"


def letters(source: Iterator[int]) -> Iterator[Letter]:
    """4 kB letters whose bytes are put together as the engine does: shared content, own header lines."""
    line = b"x" * 70 + b"\r\n"
    body = b"\r\n" + line * (SIZE // len(line))
    for number in source:
        recipient, key = f"client{number}@example.org", f"{number}@bench.example"
        head = f"Message-ID: <{key}>\r\nFrom: <sender@example.org>\r\nTo: <{recipient}>\r\nSubject: bench\r\n".encode()
        yield Letter(number, 1, key, "sender@example.org", recipient, head + body)


@contextmanager
def sink() -> Iterator[int]:
    """An smtp-sink on a free port."""
    with socket.create_server((HOST, 0)) as probe:
        port: int = probe.getsockname()[1]
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    process = subprocess.Popen([tool("smtp-sink"), *user, f"{HOST}:{port}", "1000"])
    try:
        wait_until_open(port)
        yield port
    finally:
        process.terminate()
        process.wait()


def wait_until_open(port: int) -> None:
    for _ in range(200):
        try:
            socket.create_connection((HOST, port)).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.02)
    sys.exit("smtp-sink did not start")


def tool(name: str) -> str:
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/libexec/postfix")
    return path or sys.exit(f"{name} is missing: install Postfix (on Debian: apt-get install postfix)")


def wire(port: int, count: int, sessions: int = 20) -> float:
    """Letters a second of smtp-source, connections kept."""
    command = [tool("smtp-source"), "-d", "-s", str(sessions), "-m", str(count), "-l", str(SIZE), f"{HOST}:{port}"]
    began = time.perf_counter()
    subprocess.run(command, check=True)
    return count / (time.perf_counter() - began)


def provider(port: int, count: int, connections: int, lanes: int) -> float:
    """Letters a second of one process."""
    service = SmtpProvider(SmtpConfig(HOST, port, connections=connections))
    accepted = [0] * lanes

    def run(lane: int) -> None:
        own = letters(iter(range(lane, count, lanes)))
        accepted[lane] = sum(receipt.outcome is Outcome.ACCEPTED for receipt in service.deliver(own))

    threads = [threading.Thread(target=run, args=(lane,)) for lane in range(lanes)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rate = count / (time.perf_counter() - began)
    service.close()
    if sum(accepted) != count:
        sys.exit(f"only {sum(accepted)} of {count} letters were accepted")
    return rate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--letters", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    setups = list(itertools.product((20, 50), (1, 2)))
    wires: list[float] = []
    rates: dict[tuple[int, int], list[float]] = {setup: [] for setup in setups}
    with sink() as port:
        for _ in range(asked.rounds):
            wires.append(wire(port, asked.letters))
            print(f"wire {wires[-1]:8,.0f}/s", flush=True)
            for setup in setups:
                rates[setup].append(provider(port, asked.letters, *setup))
                print(f"{setup[0]} connections, {setup[1]} lane(s) {rates[setup][-1]:8,.0f}/s", flush=True)
    limit = statistics.median(wires)
    print(f"\nmedians of {asked.rounds}: the wire {limit:,.0f}/s")
    for (connections, lanes), measured in rates.items():
        rate = statistics.median(measured)
        print(f"{connections} connections, {lanes} lane(s): {rate:,.0f}/s, {rate / limit:.2f} of the wire")


if __name__ == "__main__":
    main()
