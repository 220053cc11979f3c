"""The end of an account: the core's verb, and what the web keeps of it."""

from allauth.account.models import EmailAddress
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.db.models import Q

from vestnik import account_deletion
from vestnik.accounts.models import User


@transaction.atomic
def end_account(user: User) -> None:
    """Delete the account; its sessions are dead with it. Raises ValidationError for the last administrator."""
    account_deletion.delete_account(user)
    EmailAddress.objects.filter(user=user).delete()
    about = Q(content_type=ContentType.objects.get_for_model(User), object_id=str(user.pk))
    LogEntry.objects.filter(Q(user=user) | about).delete()
