"""Deleting an account: at once what anybody can see of it, and then, by the dispatcher, all that it owned.

The ledger stays countable: runs, letters, attempts and tallies remain, without what they say of anybody.
"""

import secrets

from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext as _
from guardian.models import UserObjectPermission

from vestnik import clock, jobs, sharing
from vestnik.accounts.letters import AccountLetter, AccountLetterState
from vestnik.accounts.models import Share, Submission, User
from vestnik.clients.models import (
    AttributeName,
    Client,
    ClientList,
    ClientListGroupObjectPermission,
    ClientListUserObjectPermission,
    Membership,
    Suppression,
)
from vestnik.clients.uploads import ClientImport, ImportPiece
from vestnik.mailings import message_copies
from vestnik.mailings.ledger.models import Run, RunState
from vestnik.mailings.models import (
    Mailing,
    MailingGroupObjectPermission,
    MailingUserObjectPermission,
    Message,
    MessageGroupObjectPermission,
    MessageUserObjectPermission,
)
from vestnik.senders.models import DkimKey, Domain, Sender

Belongings = tuple[tuple[type[models.Model], str], ...]
"""Tables, each with the way from a row to the user it belongs to; what refers comes before what is referred to."""

OF_MAILINGS: Belongings = (
    (Mailing.lists.through, "mailing__owner"),
    (Mailing.clients.through, "mailing__owner"),
    (MailingUserObjectPermission, "content_object__owner"),
    (MailingGroupObjectPermission, "content_object__owner"),
)
OF_ACCOUNT: Belongings = (
    (MessageUserObjectPermission, "content_object__owner"),
    (MessageGroupObjectPermission, "content_object__owner"),
    (Message, "owner"),
    (ImportPiece, "client_import__owner"),
    (ClientImport, "owner"),
    (Suppression, "owner"),
    (Membership, "client_list__owner"),
    (ClientListUserObjectPermission, "content_object__owner"),
    (ClientListGroupObjectPermission, "content_object__owner"),
    (ClientList, "owner"),
    (Client, "owner"),
    (AttributeName, "owner"),
    (DkimKey, "domain__owner"),
    (Domain, "owner"),
    (Sender, "owner"),
    (MailingUserObjectPermission, "user"),
    (MessageUserObjectPermission, "user"),
    (ClientListUserObjectPermission, "user"),
    (UserObjectPermission, "user"),
    (User.groups.through, "user"),
    (User.user_permissions.through, "user"),
    (Submission, "user"),
    (Share, "owner"),
    (Share, "user"),
)


@transaction.atomic
def delete_account(user: User) -> None:
    """End an account: nobody signs in with it, nothing more of it is sent, and its address can be registered again.

    The dispatcher erases what it owned, in a while (`jobs.erase`). A second call changes nothing. Rows of the web's own
    tables that refer to the user are the caller's to delete, in the same transaction.

    Raises ValidationError for the last superuser.
    """
    # The superusers are locked in any case, so that of the last two who leave at once one stays.
    locked = {
        found.pk: found
        for found in User.objects.select_for_update(no_key=True)
        .filter(Q(pk=user.pk) | Q(is_superuser=True, is_active=True), deleted_at=None)
        .order_by("pk")
    }
    if user.pk not in locked:
        return
    if locked[user.pk].is_superuser and not any(found.is_superuser for pk, found in locked.items() if pk != user.pk):
        raise ValidationError(_("The last administrator cannot be deleted; make another first."))
    address = locked[user.pk].email
    # A domain where no mailbox can be (RFC 6761), and a name that nobody can have registered before.
    user.email = f"deleted-{user.pk}-{secrets.token_hex(8)}@deleted.test"
    user.full_name = user.postal_address = ""
    user.is_active = user.is_staff = user.is_superuser = False
    user.set_unusable_password()
    user.deleted_at = clock.now()
    user.save(
        update_fields=[
            *("email", "full_name", "postal_address", "is_active", "is_staff", "is_superuser", "password"),
            "deleted_at",
        ]
    )
    user.groups.clear()
    user.user_permissions.clear()
    sharing.forget(user)
    Run.objects.filter(owner_id=user.pk, state=RunState.OPEN, cancelled_at=None).update(cancelled_at=Now())
    letters = AccountLetter.objects.filter(recipient=address)
    letters.filter(state=AccountLetterState.QUEUED).update(
        state=AccountLetterState.EXPIRED, due_at=None, content=b"", settled_at=Now()
    )
    letters.filter(settled_at__isnull=False).update(recipient=user.email, subject="", answer="")
    jobs.erase(user.pk)


def deleted_accounts() -> list[int]:
    """Return the ids of the users whose accounts were deleted and are not erased yet, the longest deleted first."""
    return list(User.objects.filter(deleted_at__isnull=False).order_by("deleted_at").values_list("pk", flat=True))


def hand_over_messages(user_id: int) -> None:
    """Give everybody whose mailings use a message that this user shared with them a copy of their own."""
    message_copies.hand_over(Mailing.objects.filter(message__owner=user_id).exclude(owner=user_id))
