"""Signed letters through a real Postfix into a mailbox, before the eyes of a real OpenDKIM."""

import pwd
import shutil
import smtplib
from email import message_from_bytes, policy

import pytest

from tests.mail.letters import letter
from tests.mail.verifiers import NOON, dkimpy, mail_dkim, opendkim, results, sign_by_both
from tests.timing import wait_until
from tests.trial_servers.opendkim import verifier
from tests.trial_servers.postfix import postfix
from tests.trial_servers.processes import folder, free_port

READER = "reader@mailbox.example"


@pytest.fixture
def mailbox():
    """A maildir that a server of others delivers to."""
    with folder("maildir") as place:
        shutil.chown(place, "nobody", "nogroup")
        yield place


def delivered_to(mailbox, count):
    """The letters in it, with CRLF line ends as they came."""
    wait_until(lambda: len(list(mailbox.glob("reader/new/*"))) >= count, 30)
    return [path.read_bytes().replace(b"\n", b"\r\n") for path in mailbox.glob("reader/new/*")]


def local(mailbox):
    """What has a Postfix deliver to the mailbox."""
    nobody = pwd.getpwnam("nobody")
    return {
        "virtual_mailbox_domains": "mailbox.example",
        "virtual_mailbox_base": str(mailbox),
        "virtual_mailbox_maps": "static:reader/",
        "virtual_uid_maps": f"static:{nobody.pw_uid}",
        "virtual_gid_maps": f"static:{nobody.pw_gid}",
    }


def test_signatures_hold_in_the_mailbox_and_its_server_says_so(mailbox, tmp_path):
    names = ("text", "html and text", "one click", "names that are not ASCII", "a long subject", "a UTF-8 recipient")
    with verifier() as milter, postfix(free_port(), **local(mailbox), smtpd_milters=milter) as server:
        with smtplib.SMTP("127.0.0.1", server.port) as client:
            for name in names:
                signed = sign_by_both(letter(name), NOON)
                client.sendmail("news@example.org", [READER], signed, ["SMTPUTF8", "BODY=8BITMIME"])
            forged = sign_by_both(letter("text"), NOON).replace(b"Subject: News", b"Subject: Olds")
            client.sendmail("news@example.org", [READER], forged)
        delivered = delivered_to(mailbox, len(names) + 1)
    lines = {each: message_from_bytes(each, policy=policy.compat32) for each in delivered}
    (changed,) = (each for each, line in lines.items() if line["Subject"] == "Olds")
    genuine = [each for each in delivered if each != changed]
    assert len(genuine) == len(names)
    for each in genuine:
        assert results(lines[each]["Authentication-Results"]) == {"rsa": "pass", "ed25519": "pass"}
        assert dkimpy(each) == [True, True]
    assert {said["rsa"] for said in mail_dkim(genuine, tmp_path)} == {"pass"}
    assert opendkim(genuine, tmp_path) == [{"rsa": "pass", "ed25519": "pass"}] * len(names)
    assert results(lines[changed]["Authentication-Results"]) == {"rsa": "fail", "ed25519": "fail"}
    assert dkimpy(changed) == [False, False]
