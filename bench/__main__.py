"""`make bench`, or `python -m bench [NAME …]`."""

import argparse
import multiprocessing
from collections.abc import Callable

from bench import cost, front, mailing, provider, starts

BENCHES: dict[str, Callable[[], None]] = {
    "mailing": mailing.run,
    "starts": starts.run,
    "provider": provider.run,
    "front": front.run,
    "cost": cost.run,
}


def main() -> None:
    """Run the chosen benchmarks, or all, each in a process of its own."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Benchmarks, side by side with their peers.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(BENCHES)}; all if none is given")
    asked = parser.parse_args()
    if unknown := [name for name in asked.names if name not in BENCHES]:
        parser.error(f"unknown benchmark: {', '.join(unknown)}")
    for name in asked.names or BENCHES:
        process = multiprocessing.get_context("spawn").Process(target=BENCHES[name])
        process.start()
        process.join()
        if process.exitcode:
            raise SystemExit(process.exitcode)


if __name__ == "__main__":
    main()
