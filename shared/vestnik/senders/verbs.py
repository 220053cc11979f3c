"""What people do with senders and domains. Bad input and refusals are ValidationErrors, keyed by field.

`seen` is the `updated_at` that a form showed; a ValidationError refuses what was saved since then.
"""

import secrets
from datetime import datetime

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from vestnik import addresses, clock, jobs, locks, versions
from vestnik.accounts import audit
from vestnik.accounts.models import User
from vestnik.senders import letters
from vestnik.senders.models import Domain, Sender, covering, open_to
from vestnik.sharing_letters import spent


@transaction.atomic
def save_sender(sender: Sender, seen: datetime | None = None, from_address: str = "") -> Sender:
    """Save a new or changed sender. A new one is asked by a letter whether it agrees, and its domain is added.

    Its address never changes: another is another sender. Answers go to addresses that the owner has confirmed.
    """
    before = versions.locked(sender, seen)
    if before is not None:
        sender.address, sender.confirmed_at = before.address, before.confirmed_at
    else:
        _refuse_too_many(sender.owner, "address")
    sender.full_clean()
    if sender.reply_to and sender.reply_to not in {sender.address, *confirmed_addresses(sender.owner)}:
        raise ValidationError({"reply_to": _("Answers can go only to an address that you have confirmed.")})
    if before is None and sender.address == sender.owner.email and sender.owner.is_confirmed:
        sender.confirmed_at = clock.now()
    sender.save()
    if before is None:
        if not Domain.objects.filter(_whose(sender.owner), name__in=covering(sender.domain)).exists():
            _refuse_too_many(sender.owner, "address", Domain)
            _add_domain(sender.owner, sender.domain)
        audit.write(audit.AuditAction.SENDER, sender.owner, sender, sender.owner.email, address=from_address)
        if sender.confirmed_at is None:
            _ask(sender)
    return sender


def confirmed_addresses(owner: User) -> list[str]:
    """Return the addresses of which the owner has shown that they read what comes to them."""
    own = [owner.email] if owner.is_confirmed else []
    senders = Sender.objects.filter(owner=owner, confirmed_at__isnull=False).exclude(address=owner.email)
    return [*own, *senders.order_by("address").values_list("address", flat=True)]


def ask_again(sender: Sender) -> None:
    """Write the letter that asks for the sender's agreement once more; refused where it agreed, or had enough today."""
    if sender.confirmed_at is not None:
        raise ValidationError(_("This address is confirmed already."))
    _ask(sender)


def confirm(sender: Sender) -> None:
    """Record that whoever reads the sender's mail agrees; the first moment stays."""
    Sender.objects.filter(pk=sender.pk, confirmed_at=None).update(confirmed_at=Now())


def delete_sender(sender: Sender) -> None:
    """Delete a sender; letters go on in the installation's name. Its domain goes along, if nothing is known of it."""
    with transaction.atomic():
        sender.delete()
        unknown = Domain.objects.filter(owner=sender.owner_id, proven_at=None, allowed_at=None, keys=None)
        others = Sender.objects.filter(owner=sender.owner_id).values_list("address", flat=True)
        still_wanted = {name for address in others for name in covering(addresses.domain(address))}
        unknown.filter(name__in=covering(sender.domain)).exclude(name__in=still_wanted).delete()


@transaction.atomic
def add_domain(owner: User, name: str) -> Domain:
    """Add a domain of the owner's, and check it at once. One that they have already is returned as it is."""
    domain = _domain_name(name)
    locks.wait(locks.OWNERS_SENDERS, owner.pk)  # of two at once the second finds what the first added
    known = Domain.objects.filter(owner=owner, name=domain).first()
    if known is not None:
        return known
    _refuse_too_many(owner, "domain", Domain)
    return _add_domain(owner, domain)


@transaction.atomic
def domain_of_installation(name: str) -> Domain:
    """Return the installation's domain of this name, added if it is new."""
    domain = _domain_name(name)
    locks.wait(locks.OWNERS_SENDERS)
    known = Domain.objects.filter(owner=None, name=domain).first()
    return known or _add_domain(None, domain)


def delete_domain(domain: Domain) -> None:
    """Delete a domain; letters of its senders go out in the installation's name from now on."""
    domain.delete()


@transaction.atomic
def allow(domain: Domain, by: User, from_address: str = "") -> None:
    """Let letters come from the domain without a proof: its owner's, or if it is the installation's, everybody's."""
    if Domain.objects.filter(pk=domain.pk, allowed_at=None).update(allowed_at=Now()):
        owner = domain.owner.email if domain.owner else ""
        audit.write(audit.AuditAction.ALLOWED, by, domain, owner, address=from_address)


@transaction.atomic
def disallow(domain: Domain, by: User, from_address: str = "") -> None:
    """Take that back; what its owner has proven stays proven."""
    if Domain.objects.filter(pk=domain.pk, allowed_at__isnull=False).update(allowed_at=None):
        owner = domain.owner.email if domain.owner else ""
        audit.write(audit.AuditAction.DISALLOWED, by, domain, owner, address=from_address)


def check(domain: Domain) -> None:
    """Have the DNS asked what it says of the domain. While it waits to be asked, another time changes nothing."""
    with transaction.atomic():
        stored = Domain.objects.select_for_update(no_key=True).filter(pk=domain.pk).first()
        if stored is not None and stored.is_checked:
            Domain.objects.filter(pk=domain.pk).update(asked_at=Now(), due_at=Now())
            jobs.check_domains()


def refuse(owner_id: int, name: str, answer: str) -> None:
    """Record that the mail service takes no letters from this domain, and tell who opened it: its letters come from
    the installation's address from now on. `answer` is the service's, without addresses. A second call changes nothing.
    """
    with transaction.atomic():
        for domain in open_to(owner_id).filter(name__in=covering(name)).select_related("owner"):
            if Domain.objects.filter(pk=domain.pk, refused_at=None).update(refused_at=Now(), refusal=answer[:1000]):
                letters.tell_of_refusal(domain)


def try_again(domain: Domain) -> None:
    """Let letters come from a domain again that the mail service refused."""
    Domain.objects.filter(pk=domain.pk).update(refused_at=None, refusal="")


def _add_domain(owner: User | None, name: str) -> Domain:
    domain = Domain.objects.create(owner=owner, name=name, token=secrets.token_hex(16), asked_at=clock.now())
    jobs.check_domains()
    return domain


def _domain_name(written: str) -> str:
    """Return the domain that somebody wrote, in ASCII, without what stands before it in an address or a link."""
    name = written.strip().lower().removeprefix("https://").removeprefix("http://").strip("/").rpartition("@")[2]
    try:
        return addresses.domain(addresses.normalise(f"postmaster@{name.rstrip('.')}"))
    except addresses.InvalidAddress:
        raise ValidationError(
            {"domain": _("This is no name of a domain; one such as example.org is wanted.")}
        ) from None


def _ask(sender: Sender) -> None:
    """Ask the sender by a letter, or refuse where it had enough of them: nobody hears of a letter that is not there."""
    if not letters.ask_to_confirm(sender):
        raise ValidationError({"address": _("We have written to this address often today; wait until tomorrow.")})


def _refuse_too_many(owner: User, field: str, model: type[Sender] | type[Domain] = Sender) -> None:
    """Refuse what is more than one may have, or ask for within a day: each new sender is a letter to somebody.

    Of two made at once each is counted for the other.
    """
    locks.wait(locks.OWNERS_SENDERS, owner.pk)
    limit = settings.SENDERS_PER_OWNER
    if model._default_manager.filter(owner=owner).count() >= limit:
        said = _("You have %(limit)d of these, as many as one may have; delete one first.")
        raise ValidationError({field: said % {"limit": limit}})
    asked = audit.AuditEntry.objects.filter(actor_id=owner.pk, action=audit.AuditAction.SENDER).order_by("-pk")
    if spent(asked.values_list("at", flat=True), limit):
        said = _("You have added senders %(limit)d times within a day; go on tomorrow.")
        raise ValidationError({field: said % {"limit": limit}})


def _whose(owner: User) -> Q:
    return Q(owner=owner) | Q(owner=None, allowed_at__isnull=False)
