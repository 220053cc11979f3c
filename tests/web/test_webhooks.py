"""Where mail services post what became of letters: each proves who it is, and what it says is written down once."""

import base64
import hashlib
import hmac
import io
import json
import logging
import time

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from django.test import Client as Browser

from tests.web.ledger import make_run
from vestnik.clients.models import Suppression
from vestnik.mailings import letters_named, unsubscribe_links
from vestnik.mailings.ledger.models import DeliveryEvent, message_id
from web.webhooks import providers

pytestmark = pytest.mark.usefixtures("valkey")

SECRET = "vestnik:seven-smoking-chimneys"
BASIC = {"HTTP_AUTHORIZATION": f"Basic {base64.b64encode(SECRET.encode()).decode()}"}
KEY = "key-of-the-service"


@pytest.fixture
def letter(alice):
    found = make_run(alice, sent=3).deliveries.order_by("client_id")[0]
    found.address = "a@example.org"
    found.save(update_fields=["address"])
    return found


@pytest.fixture
def known(letter):
    """The letter's Message-ID."""
    return message_id(letter.pk, letter.run.key, letter.run.sender)


SECRETS = ("amazon_ses", "postmark", "brevo", "sendgrid")


@pytest.fixture(autouse=True)
def told(settings):
    settings.WEBHOOKS = {
        **{name: {"webhook_secret": SECRET} for name in SECRETS},
        "mailgun": {"webhook_signing_key": KEY},
        "unisender_go": {"api_key": KEY},
    }


def post(provider, said, **headers):
    """Post what a service tells, as it does; return the answer."""
    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    return Browser().post(f"/webhooks/{provider}/", body, content_type="application/json", **headers)


def signed_by_mailgun(event, ago=0):
    stamp, token = str(int(time.time()) - ago), "a8ce0edb2dd8301dee6c2405235584e45aa91d1e9f979f3de0"
    signature = hmac.new(KEY.encode(), f"{stamp}{token}".encode(), "sha256").hexdigest()
    return {"signature": {"timestamp": stamp, "token": token, "signature": signature}, "event-data": event}


def signed_by_unisender(said):
    body = json.dumps({"auth": KEY, **said})
    return body.replace(KEY, hashlib.md5(body.encode()).hexdigest()).encode()  # noqa: S324  (theirs)


def postmark(known, kind="HardBounce", details="smtp;550 5.1.1 The account does not exist"):
    return {
        "RecordType": "Bounce", "ID": 42, "Type": kind, "MessageID": "883953f4-6105-42a2-a16a-77a8eac79483",
        "Metadata": {"letter": known}, "Email": "A@Example.org", "BouncedAt": "2026-12-01T10:00:00Z",
        "Details": details, "Description": "The server was unable to deliver your message",
    }  # fmt: skip


def brevo(known, event="hard_bounce", reason="550 5.1.1 no such user"):
    return {"event": event, "email": "a@example.org", "message-id": f"<{known}>", "ts_epoch": 1, "reason": reason}


def sendgrid(known, **more):
    return [
        {
            "email": "a@example.org", "event": "bounce", "type": "bounce", "status": "5.1.1", "timestamp": 1,
            "smtp-id": f"<{known}>", "reason": "550 5.1.1 The email account does not exist", "sg_event_id": "x", **more,
        }
    ]  # fmt: skip


def mailgun(known, event="failed", **more):
    status = {"code": 550, "message": "5.1.1 The email account that you tried to reach does not exist"}
    return {
        "event": event, "severity": "permanent", "reason": "bounce", "timestamp": 1.5, "recipient": "a@example.org",
        "message": {"headers": {"message-id": known, "to": "a@example.org"}}, "delivery-status": status, **more,
    }  # fmt: skip


def unisender(known, status="hard_bounced", why="err_user_unknown"):
    data = {
        "job_id": "1", "status": status, "email": "a@example.org", "event_time": "2026-12-01 10:00:00",
        "metadata": {"letter": known}, "url": "",
        "delivery_info": {"delivery_status": why, "destination_response": "550 5.1.1 no such user"},
    }  # fmt: skip
    return {
        "events_by_user": [{"user_id": 1, "events": [{"event_name": "transactional_email_status", "event_data": data}]}]
    }


def test_a_dead_address_is_suppressed_whichever_service_tells_of_it(letter, known):
    told = {
        "postmark": lambda: post("postmark", postmark(known), **BASIC),
        "brevo": lambda: post("brevo", brevo(known), **BASIC),
        "sendgrid": lambda: post("sendgrid", sendgrid(known), **BASIC),
        "mailgun": lambda: post("mailgun", signed_by_mailgun(mailgun(known))),
        "unisender_go": lambda: post("unisender_go", signed_by_unisender(unisender(known))),
    }
    for name, tell in told.items():
        DeliveryEvent.objects.all().delete()
        Suppression.objects.all().delete()
        answer = tell()
        assert (answer.status_code, answer.content) == (200, b"Noted.\n"), name
        event = DeliveryEvent.objects.get()
        assert (event.delivery_id, event.kind, event.bounce) == (letter.pk, "bounced", "hard"), name
        assert Suppression.objects.get().reason == "bounced", name
        assert tell().status_code == 200
        assert DeliveryEvent.objects.count() == 1, name


def amazon(known, kind="Bounce", **more):
    mail = {
        "messageId": "theirs",
        "destination": ["a@example.org"],
        "headers": [{"name": "Message-ID", "value": f"<{known}>"}],
    }
    said = {"eventType": kind, "mail": mail, **more}
    return {"Type": "Notification", "MessageId": "m", "Message": json.dumps(said), "Timestamp": "2026-12-01T10:00:00Z"}


AMAZON = {"HTTP_X_AMZ_SNS_MESSAGE_TYPE": "Notification", "HTTP_X_AMZ_SNS_MESSAGE_ID": "m"}


@pytest.mark.parametrize(
    ("bounce", "said", "kind"),
    [
        ({"bounceType": "Permanent", "bounceSubType": "General"}, "smtp; 550 5.1.1 user unknown", "hard"),
        ({"bounceType": "Permanent", "bounceSubType": "NoEmail"}, None, "hard"),
        ({"bounceType": "Permanent", "bounceSubType": "General"}, None, "hard"),
        ({"bounceType": "Transient", "bounceSubType": "MailboxFull"}, "smtp; 552 5.2.2 full", "soft"),
        ({"bounceType": "Transient", "bounceSubType": "General"}, None, "soft"),
        ({"bounceType": "Permanent", "bounceSubType": "General"}, "smtp; 554 5.7.1 spam", "policy"),
    ],
)
def test_amazons_notifications_are_read(letter, known, bounce, said, kind):
    event = amazon(
        known, bounce={**bounce, "bouncedRecipients": [{"emailAddress": "a@example.org", "diagnosticCode": said}]}
    )
    answer = post("amazon_ses", event, **AMAZON)
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, 'Basic realm="webhooks"')
    assert post("amazon_ses", event, **AMAZON, **BASIC).status_code == 200
    assert DeliveryEvent.objects.get().bounce == kind


def test_what_another_server_says_names_no_letter_of_somebody_elses(letter, known):
    other = letter.run.deliveries.order_by("client_id")[1]
    theirs = message_id(other.pk, letter.run.key, letter.run.sender)
    to = [{"emailAddress": "a@example.org", "diagnosticCode": f"550 5.1.1 no <{theirs}> here"}]
    bounce = {"bounceType": "Permanent", "bounceSubType": "General", "bouncedRecipients": to}
    event = amazon(known)
    message = json.loads(event["Message"])
    event["Message"] = json.dumps({"eventType": "Bounce", "bounce": bounce, "mail": message["mail"]})
    post("amazon_ses", event, **AMAZON, **BASIC)
    assert DeliveryEvent.objects.get().delivery_id == letter.pk


def test_a_letters_subject_is_no_status(letter, known):
    post("postmark", postmark(known, "SoftBounce", "452 mailbox full") | {"Subject": "Django 5.2.1 is out"}, **BASIC)
    assert (DeliveryEvent.objects.get().bounce, DeliveryEvent.objects.get().status) == ("soft", "")


@pytest.mark.parametrize("event", ["suppress-unsubscribe", "suppress-complaint"])
def test_what_a_service_kept_back_is_no_bounce(letter, known, event):
    post("mailgun", signed_by_mailgun(mailgun(known, reason=event)))
    assert not DeliveryEvent.objects.exists()


def test_a_copy_of_an_old_post_of_mailguns_which_signs_no_content_is_refused(letter, known):
    assert post("mailgun", signed_by_mailgun(mailgun(known), ago=25 * 3600)).status_code == 403
    assert not DeliveryEvent.objects.exists()
    assert post("mailgun", signed_by_mailgun(mailgun(known), ago=8 * 3600)).status_code == 200
    assert DeliveryEvent.objects.exists()


def test_a_fault_of_the_service_counts_against_no_address(letter, known):
    post("brevo", brevo(known, "error"), **BASIC)
    assert not DeliveryEvent.objects.exists()


def test_half_a_character_is_written_down_as_well_as_can_be(letter, known):
    post("postmark", postmark(known, details="smtp;550 5.1.1 \ud800 gone"), **BASIC)
    assert DeliveryEvent.objects.get().answer == "smtp;550 5.1.1 ? gone"


@pytest.mark.parametrize("provider", ["mailgun", "unisender_go", "amazon_ses", "postmark"])
def test_what_is_nested_without_end_is_refused_in_a_short_line(letter, provider, caplog):
    for body in (b"[" * 200_000, b'{"Type": "' + b"x" * 1_000_000 + b'"}'):
        assert post(provider, body, **BASIC).status_code in (200, 400, 403)
    assert max(map(len, caplog.messages)) < 1_000


def test_amazon_is_confirmed_by_an_operator_who_is_told_where(letter, caplog):
    asked = {"Type": "SubscriptionConfirmation", "MessageId": "m", "SubscribeURL": "https://sns.example/confirm?x"}
    heads = {**AMAZON, "HTTP_X_AMZ_SNS_MESSAGE_TYPE": "SubscriptionConfirmation"}
    assert post("amazon_ses", asked, **heads, **BASIC).status_code == 200
    assert "open https://sns.example/confirm?x" in caplog.text


def test_complaints_and_letters_of_which_the_service_takes_no_more(letter, known):
    spam = {
        "RecordType": "SpamComplaint",
        "Type": "SpamComplaint",
        "Metadata": {"letter": known},
        "ID": 1,
        "Email": "a@example.org",
    }
    post("postmark", spam, **BASIC)
    assert DeliveryEvent.objects.get().kind == "complained"
    dropped = sendgrid(known, event="dropped", type="", reason="Bounced Address", status="")
    dropped[0].pop("type")
    post("sendgrid", dropped, **BASIC)
    assert DeliveryEvent.objects.get(kind="bounced").bounce == "hard"
    assert set(Suppression.objects.values_list("reason", flat=True)) == {"complained", "bounced"}


@pytest.mark.parametrize(
    ("kind", "details", "bounce"),
    [
        ("SoftBounce", "smtp;452 4.2.2 The email account is over quota", "soft"),
        ("HardBounce", "smtp;552 5.2.2 over quota", "soft"),
        ("HardBounce", "smtp;550 5.7.1 Message rejected as spam", "policy"),
        ("HardBounce", "", "hard"),
        ("HardBounce", "smtp;552 5.3.4 too large", "policy"),
        ("HardBounce", "smtp;550 spam message rejected", "policy"),
        ("SpamNotification", "The message was delivered, but was either blocked as spam", "policy"),
    ],
)
def test_what_the_last_server_said_counts_for_more_than_the_services_word(letter, known, kind, details, bounce):
    post("postmark", postmark(known, kind, details), **BASIC)
    assert DeliveryEvent.objects.get().bounce == bounce


@pytest.mark.parametrize("event", ["delivered", "unique_opened", "click", "deferred", "request"])
def test_what_is_no_bounce_is_answered_and_says_nothing(letter, known, event):
    assert post("brevo", brevo(known, event), **BASIC).status_code == 200
    assert not DeliveryEvent.objects.exists()


def test_who_unsubscribes_at_the_service_is_unsubscribed(letter, known):
    post("brevo", brevo(known, "unsubscribe"), **BASIC)
    assert Suppression.objects.get().reason == "unsubscribed"


def test_a_letter_is_known_by_its_link_where_the_service_gives_it_another_message_id(letter):
    link = unsubscribe_links.signer()(letter.pk)
    said = brevo("other@service", "hard_bounce") | {"headers": {"List-Unsubscribe": f"<{link}>"}}
    post("brevo", said, **BASIC)
    assert DeliveryEvent.objects.get().delivery_id == letter.pk


def test_a_made_up_message_id_is_of_no_letter(letter, caplog):
    caplog.set_level(logging.INFO)
    forged = f"{letter.pk}.{'0' * 16}@vestnik.test"
    assert post("brevo", brevo(forged), **BASIC).status_code == 200
    assert "of no letter of ours" in caplog.text
    assert not DeliveryEvent.objects.exists()
    assert letters_named.named_in(f"{'9' * 19}.{'0' * 16}@x {'1' * 400}.{'a' * 16}@x /u/AAAA", "a@example.org") is None


@pytest.mark.parametrize(
    ("provider", "headers"),
    [("postmark", {}), ("postmark", {"HTTP_AUTHORIZATION": "Basic bm86bm8="}), ("brevo", {}), ("mailgun", BASIC)],
)
def test_who_does_not_prove_to_be_the_service_changes_nothing(letter, known, provider, headers, caplog):
    said = {"postmark": postmark(known), "brevo": brevo(known), "mailgun": signed_by_mailgun(mailgun(known))}[provider]
    if provider == "mailgun":
        said["signature"]["signature"] = "0" * 64
    answer = post(provider, said, **headers)
    assert answer.status_code == (403 if headers else 401)
    assert not DeliveryEvent.objects.exists()
    assert "seven-smoking" not in caplog.text


def test_signatures_of_keys_are_proven(letter, known, settings):
    key = rsa.generate_private_key(65537, 2048)
    lines = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    bare = "".join(lines.decode().splitlines()[1:-1])
    settings.WEBHOOKS = {"postal": {"webhook_key": bare}}
    message = {"id": 1, "message_id": known, "to": "a@example.org", "direction": "outgoing"}
    body = json.dumps({"payload": {"original_message": message, "bounce": {"id": 2}, "details": ""}}).encode()
    signature = base64.b64encode(key.sign(body, padding.PKCS1v15(), hashes.SHA1())).decode()  # noqa: S303
    assert post("postal", body, HTTP_X_POSTAL_SIGNATURE="AAAA").status_code == 403
    assert post("postal", body, HTTP_X_POSTAL_SIGNATURE=signature).status_code == 200
    assert DeliveryEvent.objects.get().source == "Postal"

    theirs = ec.generate_private_key(ec.SECP256R1())
    public = theirs.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    settings.WEBHOOKS = {"sendgrid": {"tracking_webhook_verification_key": base64.b64encode(public).decode()}}
    body, stamp = json.dumps(sendgrid(known)).encode(), "1600112492"
    signature = base64.b64encode(theirs.sign(stamp.encode() + body, ec.ECDSA(hashes.SHA256()))).decode()
    heads = {"HTTP_X_TWILIO_EMAIL_EVENT_WEBHOOK_TIMESTAMP": stamp}
    heads["HTTP_X_TWILIO_EMAIL_EVENT_WEBHOOK_SIGNATURE"] = signature
    assert post("sendgrid", body + b" ", **heads).status_code == 403
    assert post("sendgrid", body, **heads).status_code == 200
    assert DeliveryEvent.objects.get().bounce == "hard"


@pytest.mark.parametrize(
    "said", [b"", b"[", b"\xff\xfe", b"null", b"[]", b"{}", b"[1]", b'{"RecordType": {}}', b"[[[[[]]]]]"]
)
@pytest.mark.parametrize("provider", SECRETS)
def test_whatever_a_service_posts_no_page_breaks(letter, provider, said):
    assert post(provider, said, **BASIC).status_code in (200, 400)


@pytest.mark.parametrize("provider", SECRETS)
def test_a_form_is_refused_and_breaks_nothing(letter, provider):
    for form in ({"a": "b"}, {"a": io.BytesIO(b"file")}):
        assert Browser().post(f"/webhooks/{provider}/", form, **BASIC).status_code == 400


def test_what_is_not_set_up_is_not_there_and_to_look_changes_nothing(letter, settings):
    assert post("mandrill", {}).status_code == 404
    answer = Browser().get("/webhooks/postmark/")
    assert (answer.status_code, answer.content) == (200, b"Webhooks of this service are taken here.\n")
    assert post("postmark", b"x" * (6 << 20), **BASIC).status_code == 413


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ([], "an object is wanted"),
        ({"pigeons": {}}, "'pigeons' is not known"),
        ({"postmark": {}}, "webhook_secret (user:password"),
        ({"postmark": {"webhook_secret": "short:one"}}, "16 characters or more"),
        ({"postmark": {"webhook_secret": "without-a-colon-but-long"}}, "is user:password"),
        ({"postmark": {"webhook_secret": SECRET, "other": "x"}}, "'other' is not known"),
        ({"mailgun": {}}, "webhook_signing_key is wanted"),
        ({"mailgun": {"webhook_secret": SECRET}}, "webhook_signing_key is wanted"),
        ({"unisender_go": {"api_key": "ключ"}}, "api_key is wanted"),
        ({"brevo": {"": "a-long-word-without-use"}}, "is not known"),
        ({"mailjet": {"webhook_secret": SECRET}}, "'mailjet' is not known"),
        ({"mailgun": {"webhook_signing_key": 5}}, "an object of texts"),
        ({"postal": {"webhook_key": "chimneys"}}, "is no public key"),
        ({"sendgrid": {"tracking_webhook_verification_key": "c2VjcmV0"}}, "is no public key"),
        ({"mailgun": "secret"}, "an object of texts"),
    ],
)
def test_a_setting_that_would_let_anybody_in_is_refused_and_no_secret_repeated(chosen, said):
    with pytest.raises(providers.WrongWebhooks) as error:
        providers.checked(chosen)
    assert said in str(error.value)
    assert "chimneys" not in str(error.value)


def test_every_service_that_is_known_has_a_view():
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    for name, (_view, key) in providers.SIGNS.items():
        options = {"webhook_secret": SECRET} | ({key: base64.b64encode(der).decode()} if key else {})
        assert providers.view(name, providers.checked({name: options})[name]).esp_name
