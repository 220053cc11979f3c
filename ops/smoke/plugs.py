"""`python3 -m ops.smoke.plugs`: every part is killed in the middle of a run, is away for a moment, and comes back."""

import sys
import time

from ops import OpsError
from ops.compose import run
from ops.smoke import checks, mailings
from ops.smoke.__main__ import MIDDLE, VARIABLES, check
from ops.smoke.installation import Installation, eventually, inspect, installation
from ops.smoke.mailings import Sending
from ops.smoke.visitor import Visitor

PARTS = ("postgres", "redis", "cache", "web", "nginx", "inbox", "control", "scheduler", "dispatcher")
AWAY = 4.0


def pull(site: Installation, part: str) -> str:
    """Kill a part, wait a moment and start it again; return what arrived, in words."""
    [container] = site.containers(part)
    sending = Sending.begin(site, f"Without {part}")
    sending.wait_for(MIDDLE)
    in_hand = sending.in_hand()
    run(["docker", "kill", container])
    if part != "postgres":
        in_hand = max(in_hand, sending.in_hand())
    time.sleep(AWAY)
    run(["docker", "start", container])
    eventually(f"{part} is healthy", lambda: inspect(container)[0]["State"]["Health"]["Status"] == "healthy", 90, 1)
    sending.finish()
    return sending.reckon(in_hand)


def freeze_web(site: Installation) -> str:
    """Freeze the web: one that hangs is like one that is away."""
    [web] = site.containers("web")
    visitor = Visitor(site.url)
    eventually("a copy", lambda: checks.cache(visitor.get("/en/")) == "HIT", 10)
    run(["docker", "pause", web])
    try:
        began = time.monotonic()
        eventually("a stale copy", lambda: checks.cache(visitor.get("/en/", 30)) == "STALE", 60, 0.5)
        waited = time.monotonic() - began
    finally:
        run(["docker", "unpause", web])
    return f"STALE after {waited:.0f} s"


def main() -> int:
    """Pull all of them; return 1 if something was lost, or doubled unnoticed."""
    try:
        with installation(VARIABLES) as site:
            site.compose("up", "--detach", "--build", "--wait")
            alice = mailings.sign_up(site)
            mailings.import_clients(site, alice)
            for part in PARTS:
                check(f"{part} is killed", lambda part=part: pull(site, part))  # type: ignore[misc]
            check("the web is away", lambda: checks.staleness(site))
            check("the web hangs", lambda: freeze_web(site))
    except OpsError as error:
        sys.stdout.write(f"\nFAILED: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
