"""`make bench`, or `python -m bench [NAME …]`."""

import argparse
import multiprocessing
from collections.abc import Callable

from bench import bounces, cost, front, mailing, million, provider, starts, stops

BENCHES: dict[str, Callable[[], None]] = {
    "mailing": mailing.run,
    "first": million.first,
    "starts": starts.run,
    "provider": provider.run,
    "front": front.run,
    "cost": cost.run,
}
LONG: dict[str, tuple[Callable[[], None], ...]] = {
    "million": (million.first, million.run),
    "stops": (stops.launches, stops.clicks),
    "bounces": (bounces.run,),
    "signed": (mailing.signed,),
}
"""Only if they are asked for: they take minutes."""


def main() -> None:
    """Run the chosen benchmarks, or all that are short, each in a process of its own."""
    benches = {name: (bench,) for name, bench in BENCHES.items()} | LONG
    parser = argparse.ArgumentParser(prog="python -m bench", description="Benchmarks, side by side with their peers.")
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"one of {', '.join(benches)}; all but {', '.join(LONG)} if none is given",
    )
    asked = parser.parse_args()
    if unknown := [name for name in asked.names if name not in benches]:
        parser.error(f"unknown benchmark: {', '.join(unknown)}")
    for bench in [bench for name in asked.names or BENCHES for bench in benches[name]]:
        process = multiprocessing.get_context("spawn").Process(target=bench)
        process.start()
        process.join()
        if process.exitcode:
            raise SystemExit(process.exitcode)


if __name__ == "__main__":
    main()
