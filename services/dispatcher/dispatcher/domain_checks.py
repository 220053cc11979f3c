"""Asks the DNS what it says of a domain that letters come from, keeps it, and tells who has to know what broke."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from vestnik import addresses, clock, encryption, jobs, locks
from vestnik.accounts.models import User
from vestnik.mail import dkim_keys
from vestnik.mail.dkim_keys import Published
from vestnik.senders import checked, dmarc, dns, judging, keys, letters, records, reverse_dns, signing
from vestnik.senders.answers import Ask, Kind
from vestnik.senders.checked import Checked
from vestnik.senders.findings import Finding, State
from vestnik.senders.models import DkimKey, Domain, covering
from vestnik.senders.records import Purpose, Setup

logger = logging.getLogger(__name__)

PATIENCE = dns.Patience(together=10.0)
"""For one domain: others wait."""
SHIFT = 240.0
"""Seconds that one job goes on; the tick finds what is left."""
LOOKED_THROUGH = 200
"""Domains that are due, among which the next is chosen."""
MOST_TOLD = 10
"""Administrators who are told of the installation's domains."""


class Secret(StrEnum):
    """What may be the matter with our half of a key."""

    UNREADABLE = "secret_unreadable"


def check_due() -> None:
    """Check the domains that are due, one after the other, in one job at a time: a DNS that is slow keeps no other job
    from its work. Owners take turns; those come first of whose domains somebody waits to hear.
    """
    with locks.held(locks.DOMAIN_CHECKS) as alone:
        until, served = time.monotonic() + SHIFT, Counter[int | None]()
        while alone and time.monotonic() < until:
            due = list(checked.due().only("owner", "asked_at", "checked_at")[:LOOKED_THROUGH])
            if not due:
                return
            domain = min(due, key=lambda each: (served[each.owner_id], each.is_checked))
            served[domain.owner_id] += 1
            check(domain.pk)


def check(domain_id: int) -> None:
    """Ask the DNS of a domain, and keep what it says. Idempotent; what is broken is told once.

    Whatever goes wrong with one domain, it is not due again before the others.
    """
    domain = Domain.objects.select_related("owner").filter(pk=domain_id).first()
    if domain is None:
        return
    began = clock.now()
    try:
        _check(domain, began)
    except Exception:
        logger.exception("the domain %d could not be checked", domain_id)
        Domain.objects.filter(pk=domain_id).update(checked_at=began, due_at=Now() + checked.EVERY)


def _check(domain: Domain, began: datetime) -> None:
    keys.encrypt_again(domain)
    found = list(_findings(domain, dns.Check(patience=PATIENCE)))
    with transaction.atomic():
        broken = checked.keep(domain, began, found)
        for person in _concerned(domain) if broken else []:
            letters.tell_of_broken(domain, broken, person)
    if broken:
        logger.log(
            logging.WARNING if domain.owner else logging.ERROR,
            "the DNS records of %s (domain %d) were right, and are not any more: %s",
            *(domain.name, domain.pk, ", ".join(broken)),
        )


def enqueue_due() -> None:
    """Have the domains checked of which the DNS is to be asked again, if there are such."""
    if checked.due().exists():
        jobs.CHECK_DOMAINS.enqueue()


def _concerned(domain: Domain) -> list[User]:
    if domain.owner is not None:
        return [domain.owner] if domain.owner.is_active else []
    return list(User.objects.filter(is_superuser=True, is_active=True, deleted_at=None).order_by("pk")[:MOST_TOLD])


def _findings(domain: Domain, look: dns.Check) -> Iterator[Checked]:
    own = domain.owner_id is None and domain.name in covering(addresses.domain(settings.MAIL_FROM))
    setup = Setup(
        domain=domain.name,
        token=domain.token if domain.owner_id else "",
        dkim=checked.records_of_keys(domain),
        return_path="" if own else signing.RETURN_HOST,
        bounce_domain=settings.BOUNCE_DOMAIN,
        bounce_host=urlsplit(settings.SITE_URL).hostname or "" if own else "",
        spf_include=settings.SPF_INCLUDE if own else "",
        addresses=_own_addresses(look.ask) if own and not settings.SPF_INCLUDE else (),
        is_installations=own,
    )
    to_set = records.wanted(setup)
    look.ask_all(records.questions(to_set))
    known = {key.host: key for key in DkimKey.objects.filter(domain=domain).select_related("domain")}
    signs = leads_back = False
    for record in to_set:
        key = known.get(record.name) if record.kind is Purpose.DKIM else None
        finding = judging.judge(record, look.ask, _judge_of(key) if key else None)
        if finding.state is State.RIGHT:
            signs = signs or (key is not None and key.retired_at is None)
            leads_back = leads_back or record.kind is Purpose.RETURN_PATH
        yield Checked.of(
            record.kind, record.name, finding, type=record.type, value=record.value, required=record.required
        )
    for named in reverse_dns.judge_ptr(setup.addresses, look.ask):
        finding = Finding(named.state, named.why, named.names)
        yield Checked.of("ptr", named.address, finding, type=Kind.PTR, value=settings.EHLO_NAME)
    yield _alignment(domain, look.ask, signs, signing.return_host(domain.name) if leads_back else "")


def _own_addresses(ask: Ask) -> tuple[str, ...]:
    """Return the IP addresses of the server that says EHLO_NAME of itself, which is then an own one."""
    if not settings.EHLO_NAME or settings.EHLO_NAME.startswith("["):
        return ()
    return tuple(value for kind in (Kind.A, Kind.AAAA) for value in ask(settings.EHLO_NAME, kind).values)


def _judge_of(key: DkimKey) -> judging.JudgeDkim:
    """Return what judges the record of a key. One that cannot be read signs nothing, whatever the DNS says."""
    try:
        private = encryption.decrypted(bytes(key.private), signing.PURPOSE)
    except encryption.Unreadable:
        return lambda _txt: (State.WRONG, Secret.UNREADABLE)

    def judge(txt: str) -> tuple[State, StrEnum | None]:
        said = dkim_keys.judge(txt, private)
        return (State.RIGHT, None) if said in (Published.RIGHT, Published.TESTING) else (State.WRONG, said)

    return judge


def _alignment(domain: Domain, ask: Ask, signs: bool, return_host: str) -> Checked:
    """Return what DMARC says of letters from this domain, by what Vestnik knows: whether it signs them, and by which
    way their bounces come, if it is one of the domain's own.
    """
    policy = dmarc.find(domain.name, ask).policy
    envelope = return_host or settings.BOUNCE_DOMAIN or addresses.domain(settings.MAIL_FROM)
    by = dmarc.alignment(domain.name, [domain.name] if signs else [], envelope, policy)
    why = "both" if by.dkim and by.spf else "dkim" if by.dkim else "spf" if by.spf else "none"
    state = State.RIGHT if by.passes else State.UNKNOWN
    return Checked(kind="alignment", name=domain.name, state=state, why=why)
