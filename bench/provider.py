"""How many letters a second one process hands over, without a ledger, beside what the wire takes in the same run."""

import itertools
import statistics
import sys
import threading
import time
from collections.abc import Iterator

from bench.wire import HOST, SIZE, sink, source
from dispatcher.providers.base import Letter, Outcome
from dispatcher.providers.smtp import SmtpProvider
from dispatcher.providers.url import SmtpConfig


def letters(source: Iterator[int]) -> Iterator[Letter]:
    """Yield 4 kB letters whose bytes are put together as the engine does: shared content, own header lines."""
    line = b"x" * 70 + b"\r\n"
    body = b"\r\n" + line * (SIZE // len(line))
    for number in source:
        recipient, key = f"client{number}@example.org", f"{number}@bench.example"
        head = f"Message-ID: <{key}>\r\nFrom: <sender@example.org>\r\nTo: <{recipient}>\r\nSubject: bench\r\n".encode()
        yield Letter(number, 1, key, "sender@example.org", recipient, head + body)


def provider(port: int, count: int, connections: int, lanes: int) -> float:
    """Measure the letters a second of one process."""
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


def run(count: int = 20_000, rounds: int = 3) -> None:
    """Print each round's rates, and the medians with their ratio to the wire."""
    setups = list(itertools.product((20, 50), (1, 2)))
    wires: list[float] = []
    rates: dict[tuple[int, int], list[float]] = {setup: [] for setup in setups}
    with sink() as port:
        for _ in range(rounds):
            wires.append(source(port, count, sessions=20))
            for setup in setups:
                rates[setup].append(provider(port, count, *setup))
    limit = statistics.median(wires)
    for (connections, lanes), measured in rates.items():
        rate = statistics.median(measured)
        print(
            f"provider: {connections} connections, {lanes} lane(s): {rate:,.0f}/s, the wire {limit:,.0f}/s: "
            f"{rate / limit:.2f} (medians of {rounds})"
        )
