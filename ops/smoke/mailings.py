"""Mailings of a smoke test: sent while something happens, then what arrived is held against the ledger."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ops import OpsError
from ops.compose import run
from ops.smoke.installation import Installation, eventually
from ops.smoke.visitor import Visitor

OWNER = "alice@example.org"
PASSWORD = "seven smoking chimneys"  # noqa: S105
CLIENTS = 2000
LIST = "Everybody"
DOUBLE = "SELECT address FROM mailings_delivery d JOIN mailings_run r ON r.id = run_id WHERE mailing_id = {}"
NAMED = (
    f"{DOUBLE} AND (recoveries > 0"
    " OR EXISTS (SELECT FROM mailings_attempt a WHERE a.delivery_id = d.id AND outcome = 'unknown'))"
)


def sign_up(site: Installation) -> Visitor:
    """Have Alice sign up, read the letter and confirm; return her, signed in."""
    alice = Visitor(site.url)
    form = {"email": OWNER, "password1": PASSWORD, "language": "en", "time_zone": "UTC"}
    page = alice.submit("/en/accounts/signup/", form)
    if not page.url.endswith("/accounts/confirm-email/"):
        raise OpsError(f"Signing up ends at {page.url} ({page.status}).")
    letters = eventually("a letter to who signed up", lambda: site.inbox(f"letters?to={OWNER}")[0])
    text = site.inbox(f"letters/{letters[0]['id']}")[0]["text"]
    link = re.search(r"http://\S+/confirm-email/\S+", text)
    if link is None or not link[0].startswith(site.url):
        raise OpsError(f"The letter has no link to {site.url}:\n{text}")
    asks = 'name="password"' in alice.get(link[0]).text
    alice.submit(link[0], {"password": PASSWORD} if asks else {})
    if alice.get("/overview/").url != f"{site.url}/overview/":
        raise OpsError("Who has confirmed is not signed in.")
    return alice


def unsubscribe(site: Installation, subject: str) -> str:
    """Unsubscribe by the link of a letter while Redis is away, as a mailbox provider does; take it back as a person."""
    letters, _count = site.inbox(f"letters?search={subject}&limit=1")
    text = site.inbox(f"letters/{letters[0]['id']}")[0]["text"]
    link = re.search(r"http://\S+/u/\S+", text)
    if link is None or not link[0].startswith(site.url):
        raise OpsError(f"The letter has no link to unsubscribe at {site.url}:\n{text}")
    standing = "SELECT count(*) FROM clients_suppression WHERE lifted_at IS NULL"
    away = [*site.containers("redis"), *site.containers("cache")]
    run(["docker", "pause", *away])
    try:
        began = time.monotonic()
        answer = Visitor(site.url).post(link[0], {"List-Unsubscribe": "One-Click"})
        took = time.monotonic() - began
        page = Visitor(site.url).get(link[0])
    finally:
        run(["docker", "unpause", *away])
    if (answer.status, answer.text) != (200, "Unsubscribed.\n") or site.compose.sql(standing) != "1":
        raise OpsError(f"One click is answered with {answer.status}: {answer.text[:300]}")
    if "You are unsubscribed." not in page.text:
        raise OpsError(f"The page does not say so ({page.status}).")
    Visitor(site.url).post(link[0], {"do": "back"})
    if site.compose.sql(standing) != "0":
        raise OpsError("Who takes it back is not written to again.")
    return f"answered in {took:.2f} s with Redis away, and taken back"


def come_back(site: Installation, subject: str) -> str:
    """Have a letter bounce, as the inbox sends it to the receiver's container; let its owner lift the address again."""
    letters, _count = site.inbox(f"letters?search={subject}&limit=1")
    began = time.monotonic()
    answer = Visitor(site.url).post(f"/inbox/letters/{letters[0]['id']}/return", {"order": "bounce"})
    if "Sent back" not in answer.text:
        raise OpsError(f"The inbox does not send a letter back ({answer.status}): {answer.text[:300]}")
    known = "SELECT kind || ' ' || bounce || ' ' || status FROM mailings_deliveryevent"
    standing = "SELECT address FROM clients_suppression WHERE lifted_at IS NULL AND reason = 'bounced'"
    said, suppressed = site.compose.sql(known), site.compose.sql(standing)
    took = time.monotonic() - began
    if (said, suppressed) != ("bounced hard 5.1.1", letters[0]["recipient"]):
        raise OpsError(
            f"A letter to {letters[0]['recipient']} came back, and what is known is {said!r}, {suppressed!r}."
        )
    site.compose.sql("UPDATE clients_suppression SET lifted_at = now() WHERE reason = 'bounced'")
    return f"known and suppressed {took:.2f} s later"


def import_clients(site: Installation, alice: Visitor) -> str:
    """Import a file of clients through the web's form; return how many they are."""
    rows = [f"client{number}@example.net,Client {number}" for number in range(CLIENTS)]
    file = ("file", "clients.csv", "\n".join(["email,full name", *rows]).encode())
    page = alice.submit("/clients/import/", {"list_name": LIST}, file)
    if "/clients/imports/" not in page.url:
        raise OpsError(f"The file was not taken: {page.url} ({page.status}).")
    alice.submit(page.url, {"encoding": "utf-8", "delimiter": ","})  # what was read is shown first
    count = "SELECT count(*) FROM clients_membership"
    eventually("the clients are imported", lambda: site.compose.sql(count) == str(CLIENTS), pause=0.5)
    return f"{CLIENTS:,}"


@dataclass
class Sending:
    """A mailing to everybody, under way."""

    site: Installation
    subject: str
    mailing: str

    @classmethod
    def begin(cls, site: Installation, subject: str) -> "Sending":
        """Have a mailing sent to everybody, now."""
        letter = "Dear {{ full_name }}, all is well."
        options = ("--owner", OWNER, "--subject", subject, "--text", "-", "--list", LIST)
        return cls(site, subject, site.manage("create_mailing", *options, given=letter).strip())

    def wait_for(self, letters: int) -> None:
        """Wait until so many have arrived."""
        eventually(
            f"{letters} letters of {self.subject!r}", lambda: self.site.letters_with(self.subject) >= letters, 90
        )

    @contextmanager
    def letters_in_hand(self) -> Iterator[int]:
        """Have the inbox hold its breath, so that letters are in hand; yield how many."""
        [inbox] = self.site.containers("inbox")
        run(["docker", "pause", inbox])
        try:
            eventually("letters are in hand", self.in_hand, 10, 0.01)
            yield self.in_hand()
        finally:
            run(["docker", "unpause", inbox])

    def in_hand(self) -> int:
        """Count the letters that some worker has claimed and not settled."""
        return int(self._ask("SELECT count(*) FROM mailings_delivery d", "d.state = 'sending'"))

    def finish(self, seconds: float = 180) -> None:
        """Wait until the run is over."""
        over = f"SELECT state FROM mailings_run WHERE mailing_id = {self.mailing}"
        eventually(
            f"the run of {self.subject!r} is over", lambda: self.site.compose.sql(over) == "finished", seconds, 0.5
        )

    def reckon(self, in_hand: int = 0) -> str:
        """Say what arrived. Raises OpsError if a letter is missing, or one was doubled that may not have been."""
        received = self.site.received(self.subject)
        wanted = {f"client{number}@example.net" for number in range(CLIENTS)}
        if missing := wanted - received.keys():
            raise OpsError(f"{len(missing)} letters of {self.subject!r} never arrived: {sorted(missing)[:5]} …")
        if strangers := received.keys() - wanted:
            raise OpsError(f"Letters of {self.subject!r} went to {sorted(strangers)[:5]}.")
        states = self._ask("SELECT d.state, count(*) FROM mailings_delivery d", "true GROUP BY 1 ORDER BY 1")
        if states != f"sent|{CLIENTS}":
            raise OpsError(f"The ledger of {self.subject!r} says {states.split()}.")
        doubled = {address for address, count in received.items() if count > 1}
        named = set(self.site.compose.sql(NAMED.format(self.mailing)).split())
        if unnamed := doubled - named:
            raise OpsError(f"{len(unnamed)} letters were doubled unnoticed: {sorted(unnamed)[:5]} …")
        if len(doubled) > in_hand or max(received.values()) > 2:
            raise OpsError(f"{len(doubled)} letters were doubled, and only {in_hand} were in hand.")
        return f"{len(received):,} of {CLIENTS:,} got one letter" + (
            f", {len(doubled)} of them two; {in_hand} were in hand, {len(named)} are named as unknown"
            if in_hand
            else ", nobody two"
        )

    def _ask(self, select: str, where: str) -> str:
        return self.site.compose.sql(
            f"{select} JOIN mailings_run r ON r.id = d.run_id WHERE mailing_id = {self.mailing} AND {where}"
        )
