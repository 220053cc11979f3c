from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db.models.functions import Now

from vestnik import access
from vestnik.accounts.models import User


def run_command(*arguments):
    said = StringIO()
    call_command("grant", *arguments, stdout=said)
    return said.getvalue().strip()


def groups_of(user):
    return list(User.objects.get(pk=user.pk).groups.values_list("name", flat=True))


def test_a_manager_is_made_and_unmade(alice):
    assert run_command("Alice@Example.ORG", "manager") == "alice@example.org is a manager now."
    assert groups_of(alice) == ["managers"]
    granted = User.objects.get(pk=alice.pk)
    assert access.may_supervise(granted)
    assert granted.has_perms(["mailings.switch_mailing", "accounts.block_user", "mailings.view_mailing"])
    assert run_command(alice.email, "manager") == "alice@example.org is a manager already."
    assert run_command(alice.email, "manager", "--revoke") == "alice@example.org is no manager any more."
    assert groups_of(alice) == []
    assert run_command(alice.email, "manager", "--revoke") == "alice@example.org was no manager."


def test_one_can_be_both(alice):
    run_command(alice.email, "manager")
    assert run_command(alice.email, "content_manager") == "alice@example.org is a content manager now."
    run_command(alice.email, "manager", "--revoke")
    assert groups_of(alice) == ["content managers"]


@pytest.mark.parametrize("address", ["nobody@example.org", "alice", ""])
def test_an_unknown_address_is_refused(alice, address):
    with pytest.raises(CommandError, match="There is no user") as refusal:
        run_command(address, "manager")
    assert refusal.value.returncode == 2
    assert groups_of(alice) == []


def test_an_unknown_role_is_refused(alice):
    with pytest.raises(CommandError, match="invalid choice"):
        run_command(alice.email, "king")


def test_pages_note_that_somebody_was_here_once_in_five_minutes(client, alice):
    def seen():
        return User.objects.get(pk=alice.pk).last_seen_at

    User.objects.update(last_seen_at=None)
    client.force_login(alice)
    client.get("/profile/")
    first = seen()
    assert first is not None
    client.get("/profile/")
    assert seen() == first
    User.objects.update(last_seen_at=Now() - timedelta(minutes=6))
    client.get("/profile/")
    assert seen() > first


def test_public_pages_note_nobody(client, alice):
    User.objects.update(last_seen_at=None)
    client.force_login(alice)
    client.get("/en/")
    assert User.objects.get(pk=alice.pk).last_seen_at is None
