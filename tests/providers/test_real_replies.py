"""Whom real servers' and services' replies are about. No network.

The words are theirs; who is named in them was changed: <us> is our sender, <bob> the recipient.
"""

import pytest

from dispatcher.providers.base import About, Letter, Outcome, Receipt
from dispatcher.providers.refusals import about, may_meet_everybody

L, US, PACE, UNCLEAR = About.LETTER, About.US, About.PACE, About.UNCLEAR

LETTER = Letter(1, 1, "1@our.example", "news@our.example", "bob@example.net", b"")

REPLIES = {
    "Postfix": [
        ("RCPT", "550 5.1.1 <bob>: Recipient address rejected: User unknown in local recipient table", L),
        ("RCPT", "550 5.1.1 <bob>: Recipient address rejected: User unknown in virtual mailbox table", L),
        ("RCPT", "450 4.1.1 <bob>: Recipient address rejected: unverified address: connection timed out", L),
        ("RCPT", "550 5.1.1 <bob>: Recipient address rejected: undeliverable address: host said: 550 no such user", L),
        ("RCPT", "450 4.1.2 <bob>: Recipient address rejected: Domain not found", L),
        ("RCPT", "450 4.2.0 <bob>: Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch", L),
        ("RCPT", "452 4.2.2 <bob>: user over quota", L),
        ("RCPT", "554 5.7.1 <bob>: Relay access denied", US),
        ("RCPT", "454 4.7.1 <bob>: Relay access denied", US),
        ("RCPT", "550 5.1.1 <us>: Sender address rejected: User unknown in local recipient table", US),
        ("RCPT", "550 5.1.2 <us>: Sender address rejected: Domain not found", US),
        ("RCPT", "501 5.1.3 <us>: Sender address rejected: bad address syntax", US),
        ("RCPT", "553 5.7.1 <us>: Sender address rejected: not owned by user news", US),
        ("RCPT", "450 4.1.8 <us>: Sender address rejected: Domain not found", US),
        ("RCPT", "504 5.5.2 <localhost>: Helo command rejected: need fully-qualified hostname", US),
        ("RCPT", "450 4.7.25 Client host rejected: cannot find your hostname, [192.0.2.1]", US),
        ("RCPT", "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org", US),
        ("RCPT", "451 4.7.1 Service unavailable - try again later", US),
        ("the content", "451 4.7.1 Service unavailable - try again later", US),
        ("RCPT", "451 4.3.5 Server configuration problem", US),
        ("RCPT", "451 4.3.0 <bob>: Temporary lookup failure", US),
        ("the content", "451 4.3.0 Error: queue file write error", US),
        ("MAIL", "452 4.3.1 Insufficient system storage", US),
        ("RCPT", "450 4.7.1 Error: too much mail from 192.0.2.1", PACE),
        ("RCPT", "452 4.5.3 Error: too many recipients", PACE),
        ("MAIL", "552 5.3.4 Message size exceeds fixed limit", L),
        ("the content", "550 5.7.1 Content-filter rejected this message", UNCLEAR),
        ("the content", "554 5.7.1 Rejected by header check", UNCLEAR),
    ],
    "Exim": [
        ("RCPT", "550 Unrouteable address", L),
        ("RCPT", "550 Unknown user", L),
        ("RCPT", "550 No Such User Here", L),
        ("RCPT", "550 relay not permitted", US),
        ("RCPT", "550 Administrative prohibition", UNCLEAR),
        ("RCPT", "451 Temporary local problem - please try later", US),
        ("RCPT", "451 Greylisted, please try again in 300 seconds", L),
        (
            "RCPT",
            "550 Verification failed for <us> / Called:   192.0.2.7 / Sent:     RCPT TO:<us> / Response: 550 5.1.1 No"
            " such user / Sender verify failed",
            US,
        ),
        ("RCPT", "550 Verification failed for <us> / Called: 192.0.2.7 / Response: 550 5.1.1 User unknown", US),
        ("RCPT", "550 Verification failed for <us> / The mail server could not deliver mail to it: 5.2.1 disabled", US),
        ("RCPT", "550 Sender verify failed", US),
        ("RCPT", "451 Could not complete sender verify callout", US),
        ("RCPT", "550 Callout verification failed: / 550 5.1.1 <bob>: no such user", UNCLEAR),
        ("the content", "550 Message rejected: SPF check failed", US),
        ("the content", "552 Message size exceeds maximum permitted", L),
        ("the content", "550 This message was classified as SPAM and may not be delivered", UNCLEAR),
    ],
    "OpenSMTPD": [
        ("RCPT", "550 Invalid recipient: <bob>", UNCLEAR),
        ("RCPT", "421 4.3.0 Temporary Error", PACE),
        ("RCPT", "451 4.3.0 Temporary failure", US),
        ("the content", "554 5.3.4 Message too big", L),
    ],
    "Sendmail and qmail": [
        ("RCPT", "550 5.1.1 <bob>... User unknown", L),
        ("RCPT", "550 5.1.0 <us>... User unknown", US),
        ("RCPT", "550 5.1.0 <bob>... User unknown", L),
        ("RCPT", "553 5.1.8 <us>... Domain of sender address does not exist", US),
        ("RCPT", "550 5.7.1 <bob>... Relaying denied", US),
        ("RCPT", "550 5.7.1 <bob>... Relaying denied. Proper authentication required.", US),
        ("MAIL", "452 4.4.5 Insufficient disk space; try again later", US),
        ("RCPT", "451 4.3.2 Please try again later", US),
        ("RCPT", "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)", US),
        ("RCPT", "550 sorry, no mailbox here by that name (#5.1.1)", L),
        ("MAIL", "553 sorry, your envelope sender is in my badmailfrom list (#5.7.1)", UNCLEAR),
    ],
    "Gmail": [
        ("RCPT", "550 5.1.1 The email account that you tried to reach does not exist. Please try / 5.1.1 double", L),
        ("RCPT", "550 5.2.1 The email account that you tried to reach is inactive.", L),
        ("RCPT", "452 4.2.2 The email account that you tried to reach is over quota. Please direct the recipient", L),
        ("RCPT", "552 5.2.2 The email account that you tried to reach is over quota.", L),
        ("RCPT", "450 4.2.1 The user you are trying to contact is receiving mail at a rate that prevents", PACE),
        ("RCPT", "450 4.2.1 The user you are trying to contact is receiving mail too quickly.", PACE),
        ("RCPT", "550 5.2.1 The user you are trying to contact is receiving mail at a rate that prevents", L),
        ("RCPT", "451 4.7.0 Temporary System Problem. Try again later (10).", US),
        ("the content", "451 4.3.0 Mail server temporarily rejected message.", US),
        ("the content", "421 4.7.0 Our system has detected an unusual rate of unsolicited mail from your IP", PACE),
        (
            "the content",
            "421 4.7.28 Gmail has detected an unusual rate of email from your DKIM domain",
            PACE,
        ),
        ("the content", "550 5.7.26 Your email has been blocked because the sender is unauthenticated.", US),
        ("the content", "550 5.7.1 The IP you're using to send mail is not authorized to send email directly", UNCLEAR),
        ("the content", "550 5.7.1 Our system has detected that this message is likely unsolicited mail.", UNCLEAR),
        ("the content", "552 5.7.0 This message was blocked because its content presents a potential issue", UNCLEAR),
        ("RCPT", "550 5.4.5 Daily user sending limit exceeded. For more information on Gmail", PACE),
        ("the content", "550 5.7.25 The IP address sending this message does not have a PTR record", US),
    ],
    "Outlook and Exchange": [
        ("RCPT", "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup", L),
        ("RCPT", "550 5.4.1 Recipient address rejected: Access denied. [AM7EUR03FT052]", UNCLEAR),
        ("RCPT", "550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302).", UNCLEAR),
        ("RCPT", "550 5.7.606 Access denied, banned sending IP [192.0.2.1]", UNCLEAR),
        (
            "RCPT",
            "550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent. / your network is on our list",
            US,
        ),
        (
            "RCPT",
            "451 4.7.650 The mail server [192.0.2.1] has been temporarily rate limited.",
            PACE,
        ),
        ("RCPT", "451 4.7.500 Server busy. Please try again later from [192.0.2.1]. (S77719)", US),
        ("RCPT", "451 4.4.0 Temporary server error. Please try again later. PRX2", US),
        ("RCPT", "451 4.7.0 Temporary server error. Please try again later. PRX5", US),
        ("RCPT", "432 4.3.2 Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending", PACE),
        ("RCPT", "432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded", PACE),
        ("RCPT", "452 4.3.1 Insufficient system resources", US),
        ("RCPT", "550 5.2.2 STOREDRV.Deliver; mailbox full", L),
        ("the content", "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; daily limit", PACE),
        ("the content", "550 5.7.60 SMTP; Client does not have permissions to send as this sender", UNCLEAR),
        ("the content", "550 5.7.501 Service unavailable. Spam abuse detected from IP range.", UNCLEAR),
        ("RCPT", "550 5.7.13 User account disabled", US),
        ("RCPT", "550 5.7.64 TenantAttribution; Relay Access Denied", US),
        ("MAIL", "530 5.7.57 Client not authenticated to send mail", US),
    ],
    "Yahoo and AOL": [
        ("RCPT", "553 5.7.2 [TSS09] All messages from 192.0.2.1 will be permanently deferred", US),
        ("MAIL", "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to user complaints", PACE),
        ("MAIL", "451 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume", US),
        ("RCPT", "552 1 Requested mail action aborted, mailbox not found", L),
        ("RCPT", "554 delivery error: dd This user doesn't have a yahoo.com account (bob) [0]", UNCLEAR),
        ("the content", "554 5.7.9 Message not accepted for policy reasons.", US),
        ("RCPT", "452 4.2.2 Mailbox full", L),
    ],
    "Mail.ru and Yandex": [
        (
            "RCPT",
            "550 Message was not accepted -- invalid mailbox. Local mailbox bob is unavailable: not found",
            L,
        ),
        ("RCPT", "550 5.7.1 No such user!", L),
        ("RCPT", "451 Try again later. Your IP has a low reputation", US),
        ("the content", "550 spam message rejected. Please visit http://help.mail.ru/notspam-support/id?c=x", UNCLEAR),
        ("the content", "550 5.7.1 Message rejected under suspicion of SPAM; https://ya.cc/1IrBc", UNCLEAR),
        ("RCPT", "451 4.7.1 Sorry, the service is currently unavailable. Please come back later. AbCd", US),
        ("RCPT", "450 4.2.1 The recipient has exceeded message rate limit. Try again later.", PACE),
        ("RCPT", "552 5.2.2 Mailbox size limit exceeded", L),
        ("the content", "554 5.7.1 You have exceeded the daily limit of messages", PACE),
        ("MAIL", "553 5.7.1 Sender address rejected: not owned by auth user.", US),
    ],
    "SES": [
        ("MAIL", "454 4.7.0 Throttling failure: Maximum sending rate exceeded.", PACE),
        ("MAIL", "454 4.7.0 Throttling failure: Daily message quota exceeded.", PACE),
        ("the content", "554 5.7.1 Message rejected: Email address is not verified. The following identities", UNCLEAR),
        ("the content", "554 Message rejected: Sending paused for this account.", UNCLEAR),
        ("the content", "451 4.4.0 Service not available, closing transmission channel", US),
        ("RCPT", "501 5.1.3 Invalid MAIL FROM address provided", US),
    ],
    "Postmark, Mailgun, SendGrid": [
        ("HTTP", "422 You tried to send to a recipient that has been marked as inactive.", UNCLEAR),
        ("HTTP", "422 The 'From' address you supplied is not a Sender Signature on your account.", US),
        ("HTTP", "422 Your account is pending approval", US),
        ("HTTP", "429 Too Many Requests", PACE),
        ("HTTP", "400 to parameter is not a valid address. please check documentation", UNCLEAR),
        ("HTTP", "400 Free accounts are for test purposes only. Please upgrade or add the address", UNCLEAR),
        ("HTTP", "400 api user is unknown", UNCLEAR),
        ("HTTP", "400 user not found", UNCLEAR),
        ("HTTP", "400 no such recipient", L),
        ("HTTP", "413 Request Entity Too Large", L),
        ("RCPT", "550 Unauthenticated senders not allowed", US),
        ("RCPT", "451 You have exceeded your messaging limits", PACE),
        ("RCPT", "550 The from address does not match a verified Sender Identity", US),
        ("RCPT", "550 5.7.1 Maximum credits exceeded", UNCLEAR),
        ("MAIL", "450 4.7.1 Account send limit reached", PACE),
    ],
    "Resend and MailerSend": [
        ("HTTP", "403 You can only send testing emails to your own email address (news@our.example).", US),
        ("HTTP", "403 Trial accounts can only send emails to the administrator's email. verify a domain", US),
        ("HTTP", "422 The from.email domain must be verified in your account to send emails.", US),
        ("HTTP", "422 You have reached your daily quota limit.", PACE),
    ],
    "iCloud": [
        ("RCPT", "550 5.1.1 <bob>: user does not exist", L),
        ("RCPT", "552 5.2.2 <bob>: user is over quota", L),
        ("the content", "550 5.7.0 Blocked - see https://support.apple.com/", UNCLEAR),
        ("the content", "554 5.7.1 [CS01] Message rejected due to local policy.", UNCLEAR),
        ("MAIL", "450 4.7.0 Too many messages sent", PACE),
    ],
    "GMX, OVH, GoDaddy": [
        ("RCPT", "550 Requested action not taken: mailbox unavailable", UNCLEAR),
        ("MAIL", "554 Transaction failed / Reject due to policy restrictions. / For explanation visit x", UNCLEAR),
        ("MAIL", "450 Requested mail action not taken: mailbox unavailable / Mail send limit exceeded.", PACE),
        ("the content", "554 Transaction failed / Unauthorized sender address.", US),
        ("RCPT", "550 5.1.1 <bob>: Email address could not be found, or was misspelled (G8)", L),
        ("RCPT", "550 <bob> Sorry, you have exceeded your daily relay quota", PACE),
        ("RCPT", "552 You've reached your daily relay quota", PACE),
        ("MAIL", "552 Sending quota exceeded", PACE),
        (
            "the content",
            "552 This message has been rejected due to content judged to be spam",
            UNCLEAR,
        ),
        ("the content", "552 Message rejected for spam or virus content", UNCLEAR),
        ("RCPT", "550 5.2.1 The sending account is suspended", US),
    ],
    "Proofpoint, Mimecast, Barracuda, IronPort": [
        ("RCPT", "550 5.1.1 <bob>: Recipient address rejected: User unknown", L),
        ("RCPT", "550 550 5.1.1 User Unknown", L),
        ("RCPT", "554 Blocked - see https://ipcheck.proofpoint.com/?ip=192.0.2.1", UNCLEAR),
        ("RCPT", "451 Internal resources are temporarily unavailable - https://community.mimecast.com/docs", US),
        ("RCPT", "451 Recipient Temporarily Unavailable - https://community.mimecast.com/docs/DOC-1369", UNCLEAR),
        ("RCPT", "550 Invalid Recipient - https://community.mimecast.com/docs/DOC-1369#550", UNCLEAR),
        ("RCPT", "550 Administrative prohibition - envelope blocked", UNCLEAR),
        ("RCPT", "550 permanent failure for one or more recipients (bob@example.net:blocked)", UNCLEAR),
        ("RCPT", "550 Service unavailable; client [192.0.2.1] blocked using Barracuda Reputation", US),
        ("RCPT", "550 #5.1.0 Address rejected.", UNCLEAR),
        ("RCPT", "554 5.7.1 Your access to this mail system has been rejected due to poor reputation", US),
        ("RCPT", "452 Too many recipients received this hour", PACE),
    ],
    "Hosting panels": [
        ("RCPT", "550 The user's mailbox has exceeded its storage limit", L),
        ("RCPT", "550 Mailbox has exceeded the limit", L),
        ("RCPT", "550 quota exceeded for mailbox bob@example.net", L),
        ("RCPT", "552 Requested mail action aborted: exceeded storage allocation", L),
        ("RCPT", "552 mailbox full", L),
        ("RCPT", "552 Quota exceeded", UNCLEAR),
        ("RCPT", "550 5.1.1 Return-Path not deliverable", US),
        ("RCPT", "550 5.1.1 MAIL FROM <us>: user unknown", US),
        ("RCPT", "550 5.2.1 Your account is disabled", US),
        ("RCPT", "550 5.2.1 Sending from this account has been suspended", US),
        ("RCPT", "550 5.1.1 Recipient rejected, your IP [192.0.2.1] is listed in zen", US),
        ("RCPT", "451 4.7.1 Unable to verify sender", US),
        ("RCPT", "450 4.7.1 <bob>: Recipient address rejected: Service temporarily unavailable", US),
        ("RCPT", "451 Requested action aborted: local error in processing", US),
        ("RCPT", "451 qq temporary problem (#4.3.0)", US),
        ("HTTP", "400 the template recipient variable is unknown", UNCLEAR),
        ("RCPT", "550 Unknown user; log into webmail first", UNCLEAR),
        (
            "RCPT",
            "550 Domain our.example has exceeded the max emails per hour (500/500) allowed.",
            PACE,
        ),
        ("RCPT", "556 Domain does not accept mail", L),
    ],
}
SAID = [(who, *each) for who, replies in REPLIES.items() for each in replies]


def refusal(step: str, reply: str) -> tuple[int, str]:
    words = reply[4:].replace("<us>", f"<{LETTER.sender}>").replace("<bob>", f"<{LETTER.recipient}>")
    return int(reply[:3]), words


@pytest.mark.parametrize(("who", "step", "reply", "expected"), SAID)
def test_whom_a_real_reply_is_about(who: str, step: str, reply: str, expected: About) -> None:
    assert about(step, *refusal(step, reply), LETTER) is expected


def test_there_are_many_of_them() -> None:
    assert len(SAID) >= 120


@pytest.mark.parametrize(
    ("reply", "others"),
    [
        ("451 4.7.1 Please try again later", True),
        ("450 4.2.1 The user you are trying to contact is receiving mail too quickly.", True),
        ("451 later", True),
        ("450 4.4.1 no answer from host", True),
        ("452 4.2.2 mailbox full", False),
        ("450 4.1.1 <bob>: unverified address", False),
        ("450 4.2.0 <bob>: Greylisted", False),
        ("450 mailbox is full", False),
    ],
)
def test_a_refusal_for_now_may_meet_others_too_unless_it_is_of_one_mailbox(reply: str, others: bool) -> None:
    code, words = refusal("RCPT", reply)
    whom = about("RCPT", code, words, LETTER)
    assert may_meet_everybody(Receipt(LETTER, Outcome.TEMPORARY, code, words, 0.0, 0.0, about=whom)) is others
