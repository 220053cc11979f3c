"""Letters that bounce while everything dies around them, handed over by servers that come again until it is taken."""

from __future__ import annotations

import random
import smtplib

from bench.soak.leaving import later_claims

OFTEN = 0.3
"""Of the looks, those at which a letter bounces."""
SECONDS = 2.0
REPORT = """\
From: MAILER-DAEMON@mx.example.org
Subject: Undelivered Mail Returned to Sender
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.org

Final-Recipient: rfc822; somebody@example.org
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 there is no such mailbox

--b--
""".replace("\n", "\r\n")


class Bouncers:
    """The mail servers, and what they have to hand over."""

    def __init__(self, dice: random.Random, port: int = 0) -> None:
        self.claims: dict[int, int] = {}
        """Letters to addresses that had bounced, when that was taken, and how often they had been claimed."""
        self.taken: set[int] = set()
        """Letters whose bounces were taken."""
        self.again = 0
        """How often a bounce was not taken, and kept."""
        self._kept: dict[int, str] = {}
        self._dice = dice
        self._port = port

    def maybe_one(self) -> None:
        """Let a letter bounce, or none, and come again with what is kept. Raises django.db.Error."""
        from vestnik.mailings.ledger.models import Delivery, DeliveryState

        if self._dice.random() <= OFTEN:
            sent = Delivery.objects.filter(state=DeliveryState.SENT).order_by("pk")
            ends = sent.values_list("pk", flat=True)
            first, last = ends.first(), ends.last()
            if first is not None and last is not None:
                chosen = sent.filter(pk__gte=self._dice.randint(first, last))[0]
                self._kept[chosen.pk] = self._address(chosen.pk)
        for pk, address in list(self._kept.items()):
            if self._hand_over(address):
                del self._kept[pk]
                self.taken.add(pk)
                letter = Delivery.objects.select_related("run").get(pk=pk)
                self.claims |= later_claims(letter.run.owner_id, letter.client_id)

    @property
    def is_done(self) -> bool:
        """Whether nothing is kept."""
        return not self._kept

    def _address(self, delivery_id: int) -> str:
        from bench.soak.installation import BOUNCE_DOMAIN
        from vestnik.mailings import return_addresses

        return return_addresses.writer(BOUNCE_DOMAIN)(delivery_id).envelope_sender

    def _hand_over(self, address: str) -> bool:
        try:
            with smtplib.SMTP("127.0.0.1", self._port, local_hostname="mx.example.org", timeout=SECONDS) as client:
                client.sendmail("", [address], REPORT)
        except (OSError, smtplib.SMTPException):
            self.again += 1
            return False
        return True
