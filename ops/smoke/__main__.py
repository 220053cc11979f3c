"""`make smoke`: one line for each check, with figures; exit code 1 with the first that fails."""

import secrets
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ops import OpsError, backup, restore
from ops.compose import run
from ops.smoke import checks, mailings
from ops.smoke.installation import Installation, inspect, installation
from ops.smoke.mailings import CLIENTS, Sending
from ops.smoke.visitor import Visitor

# A limit, so that there is a middle of a run.
VARIABLES = {"RATE_LIMITS": "250/s", "RETRY_BASE_SECONDS": "2"}
MIDDLE = CLIENTS // 3
KILL = """
import os, pathlib, signal
for child in pathlib.Path("/proc/1/task/1/children").read_text().split():
    os.kill(int(child), signal.SIGKILL)
"""
LEDGER = (
    "SELECT state, count(*), sum(claim), md5(string_agg(address, ',' ORDER BY id)) FROM mailings_delivery GROUP BY 1"
    " UNION ALL SELECT outcome, count(*), 0, '' FROM mailings_attempt GROUP BY 1"
    " UNION ALL SELECT 'tallied', sum(sent), sum(attempts), '' FROM mailings_tally"
    " UNION ALL SELECT 'clients', count(*), 0, '' FROM clients_client"
    " UNION ALL SELECT 'people', count(*), 0, '' FROM accounts_user"
    " UNION ALL SELECT 'posts', count(*), 0, '' FROM blog_post ORDER BY 1"
)


def check(words: str, work: Callable[[], str]) -> None:
    """Do the work and say how it went, and how long it took."""
    began = time.monotonic()
    sys.stdout.write(f"{words} … ")
    sys.stdout.flush()
    said = work()
    sys.stdout.write(f"{said} ({time.monotonic() - began:.0f} s)\n")


def smoke(site: Installation) -> None:
    """Go through the whole story. Raises OpsError where it does not go as it should."""
    check("images are built", lambda: _quietly(site.compose, "build"))
    check("nothing but what they need is in them", lambda: checks.images(site))
    check("everything starts and is healthy", lambda: _quietly(site.compose, "up", "--detach", "--wait"))
    check("containers are confined", lambda: checks.containers(site))
    alice = mailings.sign_up(site)
    check("headers", lambda: checks.headers(site))
    check("clients are imported", lambda: mailings.import_clients(site, alice))
    check("public pages are kept", lambda: checks.copies(site))
    check("a post shows", lambda: checks.publishing(site))
    check("the dispatcher is killed", lambda: killed(site))
    check("the dispatcher crashes", lambda: crashed(site))
    check("the dispatcher is told to stop", lambda: stopped(site))
    check("somebody unsubscribes", lambda: mailings.unsubscribe(site, "Stopped"))
    check("a letter bounces", lambda: mailings.come_back(site, "Stopped"))
    check("the web is away", lambda: checks.staleness(site))
    check("three dispatchers, two webs", lambda: scaled(site))
    check("two webs, one of them gone", lambda: one_web_gone(site))
    check("the keys are changed", lambda: rotated(site, alice))
    check("backed up, lost, restored", lambda: restored(site))
    check("after the restore", lambda: sent_after(site))
    check("real use is remembered", lambda: remembered(site))


def killed(site: Installation) -> str:
    """Kill the dispatcher with docker kill, and start it again by hand: the engine takes the kill for meant."""
    [container] = site.containers("dispatcher")
    sending = Sending.begin(site, "Killed")
    sending.wait_for(MIDDLE)
    with sending.letters_in_hand() as in_hand:
        run(["docker", "kill", container])
    run(["docker", "start", container])
    sending.finish()
    return sending.reckon(in_hand)


def crashed(site: Installation) -> str:
    """Have the dispatcher's master die of itself: the engine starts it again."""
    [container] = site.containers("dispatcher")
    sending = Sending.begin(site, "Crashed")
    sending.wait_for(MIDDLE)
    with sending.letters_in_hand() as in_hand, suppress(OpsError):  # who kills goes down with the container
        run(["docker", "exec", container, "python", "-c", KILL])
    sending.finish()
    restarts = inspect(container)[0]["RestartCount"]
    if not restarts:
        raise OpsError("Nobody started the dispatcher again.")
    return f"{sending.reckon(in_hand)}; it was started again"


def stopped(site: Installation) -> str:
    """Stop the dispatcher by SIGTERM: letters in hand are finished, the others wait."""
    [container] = site.containers("dispatcher")
    sending = Sending.begin(site, "Stopped")
    sending.wait_for(MIDDLE)
    began = time.monotonic()
    site.compose("stop", "dispatcher")
    seconds = time.monotonic() - began
    code = inspect(container)[0]["State"]["ExitCode"]
    if code or (left := sending.in_hand()):
        raise OpsError(f"The dispatcher left with exit code {code}, and {left} letters in hand.")
    site.compose("start", "dispatcher")
    sending.finish()
    return f"left in {seconds:.1f} s with nothing in hand; {sending.reckon()}"


def scaled(site: Installation) -> str:
    """Run more dispatchers and webs: nothing is sent twice."""
    site.compose("up", "--detach", "--wait", "--scale", "dispatcher=3", "--scale", "web=2")
    sending = Sending.begin(site, "Scaled")
    sending.finish()
    workers = site.compose.sql(
        "SELECT count(DISTINCT worker_id) FROM mailings_tally t JOIN mailings_run r ON r.id = t.run_id"
        f" WHERE worker_id <> 0 AND mailing_id = {sending.mailing}"
    )
    return f"{sending.reckon()}; {workers} processes took part"


def one_web_gone(site: Installation) -> str:
    """Kill one web of two: what it does not answer the other does."""
    run(["docker", "kill", site.containers("web")[0]])
    visitor = Visitor(site.url)
    answers = [visitor.get("/en/accounts/login/").status for _ in range(30)]
    if set(answers) != {200}:
        raise OpsError(f"Pages answered {answers}.")
    site.compose("up", "--detach", "--wait", "--scale", "dispatcher=1", "--scale", "web=1")
    return f"{len(answers)} of {len(answers)} pages answered"


def rotated(site: Installation, alice: Visitor) -> str:
    """Change the keys: neither PostgreSQL nor Redis restarts, and nobody has to sign in again."""
    lasting = [*site.containers("postgres"), *site.containers("redis")]
    began = [each["State"]["StartedAt"] for each in inspect(*lasting)]
    old = site.compose("exec", "-T", "web", "cat", "/run/vestnik/secret_key")
    site.tell(
        {name: secrets.token_urlsafe(48) for name in ("SECRET_KEY", "FRONT_SECRET")} | {"SECRET_KEY_FALLBACKS": old}
    )
    site.compose("up", "--detach", "--wait")
    if [each["State"]["StartedAt"] for each in inspect(*lasting)] != began:
        raise OpsError("PostgreSQL or Redis restarted.")
    if site.compose("exec", "-T", "web", "cat", "/run/vestnik/secret_key") == old:
        raise OpsError("The key is the old one.")
    if alice.get("/overview/").url != f"{site.url}/overview/":
        raise OpsError("Who was signed in is not any more.")
    return "PostgreSQL and Redis went on, and Alice is signed in"


def remembered(site: Installation) -> str:
    """Mark it as in real use, and start it as a trial, which is refused."""
    site.compose("run", "--rm", "-T", "--no-deps", "-e", "MODE=production", "secrets")
    site.compose("down")
    try:
        site.compose("up", "--detach", "--wait")
    except OpsError:
        pass
    else:
        raise OpsError("It was started as a trial.")
    said = site.compose("logs", "--no-log-prefix", "database-secret").strip()
    if "in real use" not in said:
        raise OpsError(f"It was refused, and this was said:\n{said}")
    states = {
        each["Config"]["Labels"]["com.docker.compose.service"]: each["State"]["Status"] for each in inspect(*site.all())
    }
    if running := {"postgres", "web", "dispatcher", "control", "scheduler", "nginx"} & {
        name for name, status in states.items() if status == "running"
    }:
        raise OpsError(f"{', '.join(sorted(running))} run all the same.")
    return "a trial on its volumes is refused, in a sentence"


def restored(site: Installation) -> str:
    """Back up what the others left, and restore it into a fresh installation; one that is not empty is left alone."""
    picture = site.django(checks.PICTURE)
    visitor = Visitor(site.url)
    before, shown = site.compose.sql(LEDGER), visitor.get(picture).body
    with tempfile.TemporaryDirectory() as folder:
        file = backup.write(site.compose, Path(folder))
        try:
            restore.restore(site.compose, file)
        except OpsError as refusal:
            if "not empty" not in str(refusal):
                raise
        else:
            raise OpsError("A restore has replaced what was there.")
        site.compose("down", "--volumes")
        due = restore.restore(site.compose, file)
        size = file.stat().st_size
    if due != (0, 0):
        raise OpsError(f"By the backup {due[0]} runs are open and {due[1]} mailings due.")
    if (after := site.compose.sql(LEDGER)) != before:
        raise OpsError(f"The ledger was\n{before}\nand is\n{after}")
    if not shown or visitor.get(picture).body != shown:
        raise OpsError("A picture is not there any more.")
    letters = sum(int(row.split("|")[1]) for row in before.splitlines() if row.startswith("sent|"))
    return f"{size / 1e6:.1f} MB, {letters:,} letters, clients, people, posts and pictures are the same"


def sent_after(site: Installation) -> str:
    """Use what was restored: Alice signs in with her password, and her clients get letters."""
    alice = Visitor(site.url)
    alice.submit("/en/accounts/login/", {"login": mailings.OWNER, "password": mailings.PASSWORD})
    if alice.get("/overview/").url != f"{site.url}/overview/":
        raise OpsError("Who had an account cannot sign in.")
    sending = Sending.begin(site, "Restored")
    sending.finish()
    return sending.reckon()


def _quietly(compose: Callable[..., str], *arguments: str) -> str:
    compose(*arguments)
    return "done"


def main() -> int:
    """Run it all; return the exit code."""
    began = time.monotonic()
    try:
        with installation(VARIABLES) as site:
            smoke(site)
    except OpsError as error:
        sys.stdout.write(f"\nFAILED: {error}\n")
        return 1
    sys.stdout.write(f"All is well ({time.monotonic() - began:.0f} s).\n")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
