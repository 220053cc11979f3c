"""How BOUNCE_MAILBOX is read: what is wrong is said without the password."""

import pytest

from dispatcher.bounces.mailbox_url import Mailbox, WrongMailbox


def test_user_and_password_are_percent_encoded_and_the_rest_has_defaults():
    found = Mailbox.parse("imaps://bounces%40example.org:p%2Fw%3A@imap.example.org")
    assert found == Mailbox(
        host="imap.example.org", port=993, encrypted=True, user="bounces@example.org", password="p/w:", folder="INBOX"
    )
    assert "p/w" not in repr(found)
    other = Mailbox.parse("imap://a:b@[::1]:1143/Some%20folder/")
    assert (other.host, other.port, other.encrypted, other.folder) == ("::1", 1143, False, "Some folder")


@pytest.mark.parametrize(
    "url",
    [
        "imap.example.org", "pop3://a:secret@host", "imaps://host", "imaps://a@host", "imaps://a:secret@",
        "imaps://a:secret@host:99999", "imaps://a:secret@[host", "",
    ],
)  # fmt: skip
def test_what_is_no_address_of_a_mailbox_is_refused_and_the_password_not_repeated(url):
    with pytest.raises(WrongMailbox) as error:
        Mailbox.parse(url)
    assert "imaps://user:password@host" in str(error.value)
    assert "secret" not in str(error.value)
