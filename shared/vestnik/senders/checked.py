"""What the DNS said of a domain, kept; what follows from it: what is proven, which keys sign, where bounces come."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from vestnik import clock
from vestnik.senders import keys
from vestnik.senders.findings import Finding, State
from vestnik.senders.models import DkimKey, Domain
from vestnik.senders.records import Purpose, Setup, wanted

PROOF_LASTS = timedelta(days=3)
"""How long a domain stays proven whose record is gone: somebody moves it to other name servers, say."""
UNKNOWN_LASTS = timedelta(days=30)
"""How long it stays so if the DNS cannot be asked."""
EVERY = timedelta(days=1)
WHILE_WAITING = timedelta(minutes=10)
WAITS = timedelta(days=3)
"""How long a domain or key whose records are yet to come is asked for every ten minutes; daily after that."""
MOST_FOUND, LONGEST_FOUND = 10, 500
"""Of what the DNS said, values and characters that are kept."""
CERTAINLY_NOT = (State.MISSING, State.WRONG)


@dataclass(frozen=True, slots=True)
class Checked:
    """A record, and how it stood; all of it text, as it is kept. `state` is empty where the DNS was not asked yet."""

    kind: str
    name: str
    type: str = ""
    value: str = ""
    required: bool = False
    state: str = ""
    why: str = ""
    found: tuple[str, ...] = ()

    @classmethod
    def of(cls, kind: str, name: str, finding: Finding, **record: Any) -> Checked:
        """Return what is kept of a finding."""
        found = tuple(value[:LONGEST_FOUND] for value in finding.found[:MOST_FOUND])
        return cls(kind=kind, name=name, state=finding.state, why=finding.why or "", found=found, **record)


def of(domain: Domain) -> list[Checked]:
    """Return what the DNS said when it was last asked, and before that the records that are to be set in any case."""
    kept = [Checked(**{**each, "found": tuple(each["found"])}) for each in domain.findings]
    expected = {key.host for key in keys.expected(domain).select_related("domain")}
    kept = [each for each in kept if each.kind != Purpose.DKIM or each.name in expected]
    known = {(each.kind, each.name) for each in kept}
    to_set = wanted(Setup(domain.name, domain.token if domain.owner_id else "", dkim=records_of_keys(domain)))
    return [
        *(
            Checked(record.kind, record.name, record.type, record.value, record.required)
            for record in to_set
            if (record.kind, record.name) not in known
            if domain.checked_at is None or record.kind == Purpose.DKIM
        ),
        *kept,
    ]


def records_of_keys(domain: Domain) -> tuple[tuple[str, str], ...]:
    """Return the selectors and records of the keys that the DNS is to have."""
    return tuple(keys.expected(domain).values_list("selector", "record"))


@transaction.atomic
def keep(domain: Domain, began: datetime, findings: Iterable[Checked]) -> list[str]:
    """Keep what the DNS said, asked from `began` on, and do what follows; return the names that are broken now: what
    was right there, and certainly is not any more, or could not be asked for too long.
    """
    found = list(findings)
    stored = Domain.objects.select_for_update(no_key=True).filter(pk=domain.pk).first()
    if stored is None:
        return []
    was_right = {(each["kind"], each["name"]) for each in stored.findings if each["state"] == State.RIGHT}
    broken = [each.name for each in found if each.state in CERTAINLY_NOT and (each.kind, each.name) in was_right]
    by_name = {each.name: each for each in found}
    _follow_keys(stored, by_name)
    changed: dict[str, Any] = {"findings": [asdict(each) for each in found], "checked_at": began}
    for each in found:
        if each.kind == Purpose.OWNERSHIP:
            of_proof = _of_proof(stored, each)
            if each.state == State.UNKNOWN and "proven_at" in of_proof:
                broken.append(each.name)
            changed |= of_proof
        elif each.kind == Purpose.RETURN_PATH:
            changed |= _of_return_path(stored, each)
    if stored.asked_at is None or stored.asked_at <= began:  # else somebody asked again meanwhile
        proven = changed.get("proven_at", stored.proven_at) is not None
        changed["due_at"] = Now() + (WHILE_WAITING if _is_waited_for(stored, proven) else EVERY)
    Domain.objects.filter(pk=stored.pk).update(**changed)
    return broken


def due() -> QuerySet[Domain]:
    """Return the domains of which the DNS is to be asked again."""
    return Domain.objects.filter(due_at__lte=Now()).order_by("due_at", "pk")


def _is_waited_for(domain: Domain, proven: bool) -> bool:
    """Say whether somebody sets its records at the moment, by what is new and not in the DNS yet."""
    since = clock.now() - WAITS
    if domain.owner_id and not proven and domain.allowed_at is None and domain.created_at > since:
        return True
    return DkimKey.objects.filter(domain=domain, seen_at=None, created_at__gt=since).exists()


def _follow_keys(domain: Domain, by_name: Mapping[str, Checked]) -> None:
    for key in keys.expected(domain).select_related("domain"):
        said = by_name.get(key.host)
        if said is not None and said.state == State.RIGHT:
            keys.seen(key)
        elif said is not None and said.state in CERTAINLY_NOT:
            keys.lost(key)


def _of_proof(domain: Domain, said: Checked) -> dict[str, Any]:
    if said.state == State.RIGHT:
        return {"proven_at": domain.proven_at or Now(), "proof_seen_at": Now(), "unproven_since": None}
    if domain.proven_at is None:
        return {}
    if said.state not in CERTAINLY_NOT:
        seen = domain.proof_seen_at or domain.proven_at
        return {"proven_at": None} if seen + UNKNOWN_LASTS <= clock.now() else {}
    if domain.unproven_since is None:
        return {"unproven_since": Now()}
    if domain.unproven_since + PROOF_LASTS <= clock.now():
        return {"proven_at": None, "unproven_since": None}
    return {}


def _of_return_path(domain: Domain, said: Checked) -> dict[str, Any]:
    if said.state == State.RIGHT:
        return {"return_path_at": domain.return_path_at or Now()}
    return {"return_path_at": None} if said.state in CERTAINLY_NOT else {}
