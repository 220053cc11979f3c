"""allauth's copy of people's addresses. Who has which one, and whether it is confirmed, stands in the core's User."""

from allauth.account.models import EmailAddress
from django.db import transaction
from django.db.models import Q, QuerySet

from vestnik.accounts.models import User


def align(user: User) -> None:
    """Make allauth's rows agree with the user's address, for whoever was made or changed elsewhere.

    An address that the user wants to change to, and has not confirmed yet, stays.
    """
    if _agree(user):
        return
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=user.pk)
        if not _agree(user):
            _current(user).delete()
            EmailAddress.objects.filter(email=user.email, verified=True).delete()  # somebody's who had it before
            EmailAddress.objects.create(user=user, email=user.email, primary=True, verified=user.is_confirmed)


def _current(user: User) -> QuerySet[EmailAddress]:
    return EmailAddress.objects.filter(Q(primary=True) | Q(verified=True) | Q(email=user.email), user=user)


def _agree(user: User) -> bool:
    return list(_current(user).values_list("email", "primary", "verified")) == [(user.email, True, user.is_confirmed)]
