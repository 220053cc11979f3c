"""Keys that sign: made in pairs, in use as soon as the DNS has them, renewed without a letter that cannot be verified.

A version is one key of each algorithm. A new version waits until the DNS has its records; then it signs, and the
old one is retired: its records stay until the letters it signed have arrived.
"""

import secrets
from datetime import timedelta

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Max, QuerySet
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from vestnik import encryption, jobs
from vestnik.mail import dkim_keys
from vestnik.senders.models import DkimKey, Domain
from vestnik.senders.signing import PURPOSE

RECORDS_STAY = timedelta(days=7)
"""How long the records of a retired key are still asked for: mail servers try a letter for five days."""


@transaction.atomic
def make(domain: Domain) -> None:
    """Make a new version of the keys for the domain, and have the DNS asked for them.

    Raises ValidationError while the one before still waits for its records.
    """
    Domain.objects.select_for_update(no_key=True).get(pk=domain.pk)
    if DkimKey.objects.filter(domain=domain, seen_at=None, retired_at=None).exists():
        raise ValidationError(_("There are new keys already; set their records first."))
    version = (DkimKey.objects.filter(domain=domain).aggregate(last=Max("version"))["last"] or 0) + 1
    mark = secrets.token_hex(4)  # no selector comes twice: letters on their way are verified by the record of theirs
    for algorithm in dkim_keys.Algorithm:
        private = dkim_keys.new_private_key(algorithm)
        DkimKey.objects.create(
            domain=domain,
            version=version,
            algorithm=algorithm.value,
            selector=f"vestnik-{mark}-{algorithm.value[0]}",
            record=dkim_keys.record_value(private),
            private=encryption.encrypted(private, PURPOSE),
        )
    Domain.objects.filter(pk=domain.pk).update(asked_at=Now(), due_at=Now())
    jobs.check_domains()


def stop(domain: Domain) -> None:
    """Sign no more letters from the domain; its keys are gone."""
    DkimKey.objects.filter(domain=domain).delete()


def expected(domain: Domain) -> QuerySet[DkimKey]:
    """Return the keys of which the DNS is to have the records: those that sign, those that wait, and the last ones."""
    keys = DkimKey.objects.filter(domain=domain).order_by("version", "-algorithm")
    return keys.exclude(retired_at__lt=Now() - RECORDS_STAY)


def seen(key: DkimKey) -> None:
    """Note that the DNS has the key's record: it signs, and older ones of its algorithm are retired."""
    DkimKey.objects.filter(pk=key.pk, seen_at=None).update(seen_at=Now())
    DkimKey.objects.filter(pk=key.pk, lost_at__isnull=False).update(lost_at=None)
    older = DkimKey.objects.filter(domain=key.domain_id, algorithm=key.algorithm, version__lt=key.version)
    older.filter(retired_at=None).update(retired_at=Now())


def lost(key: DkimKey) -> bool:
    """Note that the DNS certainly has the key's record no more: it does not sign. Say whether it did until now."""
    return bool(
        DkimKey.objects.filter(pk=key.pk, seen_at__isnull=False, lost_at=None, retired_at=None).update(lost_at=Now())
    )


def encrypt_again(domain: Domain) -> None:
    """Encrypt the domain's keys with the present SECRET_KEY that only an older one can read, while that is known."""
    for key in DkimKey.objects.filter(domain=domain).only("private"):
        sealed = bytes(key.private)
        if encryption.is_of_old_key(sealed, PURPOSE):
            try:
                private = encryption.decrypted(sealed, PURPOSE)
            except encryption.Unreadable:
                continue  # who signs with it says so
            DkimKey.objects.filter(pk=key.pk).update(private=encryption.encrypted(private, PURPOSE))
