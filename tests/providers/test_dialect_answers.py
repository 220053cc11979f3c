"""What the answers of real mail services mean, over a real socket: as their pages have them, or as they were recorded.

Where each dialect's answers are described is said at the head of its module (http/dialects/). Nothing was sent to the
services themselves.
"""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.providers.base import About, Outcome, Receipt
from dispatcher.providers.errors import LoginRefused, Misconfigured, ProviderError
from dispatcher.providers.http import HttpProvider
from dispatcher.providers.http.answers import LONGEST_WAIT, judged
from dispatcher.providers.http.dialects import DIALECTS
from dispatcher.providers.url import SERVICES, HttpConfig
from tests.providers.conftest import TIMEOUT, drain, letter
from tests.scripted_servers import APIS, Answer, HttpServer, Raw

A, T, P, U, R = Outcome.ACCEPTED, Outcome.TEMPORARY, Outcome.PERMANENT, Outcome.UNKNOWN, Outcome.RETURNED
L, US, PACE, UNCLEAR = About.LETTER, About.US, About.PACE, About.UNCLEAR
TOKEN = "k3y-of-ours-0123456789"


@dataclass(frozen=True)
class Case:
    status: int
    body: Any
    outcome: Outcome
    about: About = UNCLEAR
    raised: type[ProviderError] | None = None
    wait: float | None = None
    headers: dict[str, str] = field(default_factory=dict)


def login(status: int, body: Any) -> Case:
    return Case(status, body, R, raised=LoginRefused)


def account(status: int, body: Any) -> Case:
    return Case(status, body, R, raised=Misconfigured)


def sendgrid(message: str, at: str | None = None) -> dict[str, Any]:
    return {"errors": [{"message": message, "field": at, "help": None}]}


def postmark(code: int, message: str) -> dict[str, Any]:
    return {"ErrorCode": code, "Message": message}


def brevo(code: str, message: str) -> dict[str, Any]:
    return {"code": code, "message": message}


def unisender(code: int, message: str, **more: Any) -> dict[str, Any]:
    return {"status": "error", "message": message, "code": code, **more}


def failed(why: str) -> dict[str, Any]:
    return {
        "status": "success",
        "job_id": "1ZymBc-00041N-9X",
        "emails": [],
        "failed_emails": {"client1@example.org": why},
    }


def postal(code: str, **data: Any) -> dict[str, Any]:
    return {"status": "error", "time": 0.01, "flags": {}, "data": {**data, "code": code}}


NOT_TO_ALL = "Please upgrade or add the address to authorized recipients in Account Settings."
MAILGUN_LIMIT = "Domain mg.our.example is not allowed to send: recipient limit exceeded, try again after {}"
IN_A_MINUTE = {"Date": "Mon, 20 Dec 2021 20:32:21 GMT"}
INACTIVE = (
    "You tried to send to recipient(s) that have been marked as inactive. Found inactive addresses: a@example.org. "
    "Inactive recipients are ones that have generated a hard bounce, a spam complaint, or a manual suppression."
)

CASES = {
    "mailgun": [
        Case(200, {"id": "<20160306015544.116301.25145@example.com>", "message": "Queued. Thank you."}, A),
        Case(200, {"message": "Queued. Thank you.", "id": "1@letters.example"}, A),
        Case(200, b"Mailgun Magnificent API", U),
        Case(200, {"message": "Queued. Thank you."}, U),
        *(Case(200, {"id": name, "message": "Queued. Thank you."}, U) for name in ("", None, 0, 7, [], ["x"], {})),
        login(401, b"Forbidden"),
        login(401, {"message": "Invalid private key"}),
        account(404, {"message": "Domain not found: mg.our.example"}),
        account(
            400, {"message": "Domain mg.our.example is not allowed to send: The domain is unverified and requires DNS"}
        ),
        account(
            403, {"message": "Domain mg.our.example is not allowed to send: Please activate your Mailgun account."}
        ),
        Case(
            403,
            {"message": f"Domain mg.our.example is not allowed to send: Free accounts are for … {NOT_TO_ALL}"},
            P,
            US,
        ),
        Case(
            400, {"message": f"Domain mg.our.example is not allowed to send: Sandbox subdomains … {NOT_TO_ALL}"}, P, US
        ),
        Case(400, {"message": "'to' parameter is not a valid address. please check documentation"}, P, L),
        Case(400, {"message": "to parameter is not a valid address. please check documentation"}, P, L),
        Case(400, {"message": "'from' parameter is not a valid address. please check documentation"}, P, US),
        Case(400, {"message": "malformed multipart/form-data request"}, P),
        Case(404, b"404 page not found", P),
        Case(413, {"message": "request size exceeds 52.4MiB limit"}, P, L),
        Case(
            429,
            {"message": MAILGUN_LIMIT.format("Mon, 20 Dec 2021 20:33:21 UTC")},
            T,
            PACE,
            wait=60,
            headers=IN_A_MINUTE,
        ),
        Case(429, {"message": "too many requests"}, T, PACE, wait=7, headers={"Retry-After": "7"}),
        Case(500, {"message": "Internal Server Error"}, T),
        Case(500, {"error": "down"}, U),
        Case(504, {"message": "Endpoint request timed out"}, U),  # as a gateway says it
        Case(503, {"message": "Service Unavailable"}, T),
    ],
    "postal": [
        Case(
            200,
            {
                "status": "success",
                "time": 0.02,
                "flags": {},
                "data": {
                    "message_id": "1@letters.example",
                    "messages": {"client1@example.org": {"id": 7, "token": "V1StGXR8Z5jdHi6B"}},
                },
            },
            A,
        ),
        login(200, postal("AccessDenied", message="Must be authenticated as a server.")),
        login(200, postal("InvalidServerAPIKey", message="The API token … was not valid.", token=TOKEN)),
        account(200, postal("ServerSuspended")),
        Case(200, postal("UnauthenticatedFromAddress"), P, US),
        Case(200, postal("NoRecipients", message="There are no recipients defined to receive this message"), P),
        Case(200, {"status": "parameter-error", "data": {"message": "`data` parameter is required but is missing"}}, P),
        Case(200, b"<html>Postal</html>", U),
        Case(200, {"data": {}}, U),
        *(
            Case(200, {"status": status, "data": {"message_id": "x"}}, U)
            for status in (None, "", "ok", "Success", True)
        ),
        *(Case(200, {"status": "success", **data}, U) for data in ({}, {"data": None}, {"data": {"messages": {}}})),
        Case(413, b"<h1>413 Request Entity Too Large</h1>", P, L),
        Case(404, b"", P),
        Case(500, b"We're sorry, but something went wrong.", U),
        Case(500, {"status": 500, "error": "Internal Server Error"}, U),
        Case(500, postal("ServerError", message="…"), T),
        Case(503, b"", T, wait=30, headers={"Retry-After": "30"}),
    ],
    "sendgrid": [
        Case(202, b"", A, headers={"X-Message-Id": "9lEKfIWVQFmuBZFbnRCXrw"}),
        Case(202, b"", A),
        Case(202, b"whatever", A),
        Case(202, b"\x1f\x8b packed", A, headers={"Content-Encoding": "gzip"}),
        Case(200, b"", U),  # valid, and not queued: nobody asked for that (sandbox mode)
        Case(200, b"<html>It works!</html>", U),
        login(401, sendgrid("The provided authorization grant is invalid, expired, or revoked")),
        account(401, sendgrid("Maximum credits exceeded")),
        login(403, sendgrid("access forbidden")),
        Case(
            403,
            sendgrid("The from address does not match a verified Sender Identity. Mail cannot be sent.", "from"),
            P,
            US,
        ),
        Case(400, sendgrid("Does not contain a valid address.", "personalizations.0.to.0.email"), P, L),
        Case(400, sendgrid("Does not contain a valid address.", "from.email"), P, US),
        Case(400, sendgrid("The subject is required.", "subject"), P),
        Case(406, sendgrid("Missing Accept header"), P),
        Case(413, sendgrid("The JSON payload you have included in your request is too large."), P, L),
        Case(
            429,
            sendgrid("too many requests"),
            T,
            PACE,
            wait=60,
            headers={"X-RateLimit-Reset": "1640032401", "X-RateLimit-Remaining": "0", **IN_A_MINUTE},
        ),
        Case(500, sendgrid("Internal server error"), T),
        Case(500, {"message": "Internal server error"}, U),
        Case(500, {"errors": [{"message": None}]}, U),
        Case(503, b"", T),
    ],
    "postmark": [
        Case(
            200,
            {
                "To": "client1@example.org",
                "SubmittedAt": "2016-03-12T15:27:50.4468803-05:00",
                "MessageID": "b4007d94-33f1-4e78-a783-97417d6c80e6",
                "ErrorCode": 0,
                "Message": "OK",
            },
            A,
        ),
        Case(200, postmark(406, INACTIVE), P, L),
        Case(200, {"Message": "OK"}, U),
        *(
            Case(200, {"ErrorCode": code, "Message": "OK", "MessageID": "x"}, U)
            for code in ("0", None, 0.0, False, "", [], "406", 300.0)
        ),
        Case(200, postmark(701, "This is not in the list."), P),
        Case(422, postmark(0, "OK"), P),
        login(401, postmark(0, "OK")),
        Case(200, b"", U),
        login(401, postmark(10, "Bad or missing API token")),
        login(401, b""),
        Case(422, postmark(406, INACTIVE), P, L),
        Case(422, postmark(300, "Invalid 'To' address: 'invalid@localhost'."), P, L),
        Case(422, postmark(300, "Error parsing 'To': Illegal email domain '+' in address 'user@+'."), P, L),
        Case(
            422,
            postmark(300, "Invalid 'From' address: 'sender@example.org' is not a verified sender signature."),
            P,
            US,
        ),
        Case(422, postmark(300, "Error parsing 'Reply-To': Illegal email domain '+' in address 'invalid@+'."), P),
        Case(422, postmark(300, "Invalid metadata content. Field names are limited to 20 characters..."), P),
        Case(422, postmark(400, "The 'From' address you supplied is not a Sender Signature on your account."), P, US),
        Case(422, postmark(401, "The sender signature is not confirmed."), P, US),
        Case(422, postmark(402, "Invalid JSON"), P),
        Case(422, postmark(412, "While your account is pending approval, all recipient addresses must share …"), P, US),
        account(422, postmark(405, "Not allowed to send. You ran out of credits.")),
        account(422, postmark(413, "This account is not approved to send email.")),
        account(422, postmark(1235, "The stream provided: 'broadcasts' does not exist on this server.")),
        account(422, postmark(1480, "You are not authorized to send emails from your current IP address")),
        Case(413, b"", P, L),
        Case(429, b"", T, PACE),
        Case(500, postmark(101, "You encountered an error that shouldn't have occurred."), T),
        Case(500, postmark(0, "OK"), U),
        Case(500, {"ErrorCode": 101}, U),
        Case(503, postmark(100, "The Postmark API is offline for maintenance."), T),
    ],
    "brevo": [
        Case(201, {"messageId": "<201801020304.1234567890@smtp-relay.mailin.fr>"}, A),
        Case(201, {"messageIds": ["<201801020304.1234567890@smtp-relay.mailin.fr>"]}, A),
        Case(202, {"messageId": "<201801020304.1234567890@smtp-relay.mailin.fr>", "batchId": "5c6cfa04"}, A),
        Case(400, brevo("duplicate_request", "Email already sent with this idempotency key"), A),
        Case(201, b"", U),
        Case(201, {"message": "ok"}, U),
        *(Case(201, {"messageId": name}, U) for name in ("", None, 0, 7, [], {})),
        *(Case(201, {"messageIds": names}, U) for names in ([], [""], [None], "x", {"x": 1})),
        login(401, brevo("unauthorized", "Key not found")),
        login(401, brevo("unauthorized", "We have detected you are using an unrecognised IP address 192.0.2.1.")),
        account(403, brevo("permission_denied", "Unable to send email. Your SMTP account is not yet activated.")),
        account(402, brevo("not_enough_credits", "Insufficient credits")),
        account(402, brevo("account_under_validation", "Your account is under validation.")),
        Case(400, brevo("invalid_parameter", "email is not valid in to"), P, L),
        Case(400, brevo("invalid_parameter", "valid sender email required"), P, US),
        Case(
            400,
            brevo("invalid_parameter", "Sending has been rejected because the sender you used is not valid."),
            P,
            US,
        ),
        Case(400, brevo("missing_parameter", "subject is missing"), P),
        Case(413, b"", P, L),
        Case(429, brevo("too_many_requests", "…"), T, PACE, wait=45, headers={"x-sib-ratelimit-reset": "45"}),
        Case(500, brevo("internal_error", "…"), T),
        Case(502, b"<html>", U),
    ],
    "unisendergo": [
        Case(200, {"status": "success", "job_id": "1rctPx-00021H-CcC4", "emails": ["client1@example.org"]}, A),
        Case(
            200,
            {
                "status": "success",
                "job_id": "1rctPx-00021H-CcC4",
                "emails": ["client1@example.org"],
                "failed_emails": {"client1@example.org": "duplicate"},
            },
            A,
        ),
        Case(400, unisender(1573, "Duplicate message with same idempotence_key"), A),
        *(
            Case(200, failed(why), P, L)
            for why in ("unsubscribed", "invalid", "permanent_unavailable", "complained", "blocked", "whatever comes")
        ),
        Case(200, failed("temporary_unavailable"), T, L),
        Case(400, unisender(204, "No valid recipients", failed_emails={"client1@example.org": "invalid"}), P, L),
        Case(400, unisender(204, "…", failed_emails={"client1@example.org": "temporary_unavailable"}), T, L),
        Case(400, unisender(204, "Нет ни одного получателя"), P, L),
        Case(200, {"job_id": "x"}, U),
        Case(200, {"status": "success", "job_id": "x"}, A),
        Case(200, {**failed(""), "failed_emails": ["client1@example.org"]}, P, L),
        Case(400, unisender(204, "…", failed_emails=["client1@example.org"]), P, L),
        *(
            Case(200, {**failed(""), "failed_emails": odd}, U)
            for odd in ("client1@example.org", 1, True, [7], [""], [None], {"client1@example.org": None}, [], {}, None)
        ),
        *(
            Case(200, {"status": "success", "emails": ["client1@example.org"], "failed_emails": odd}, A)
            for odd in ("", 1, [], {}, None, [None])
        ),
        *(Case(200, {"status": "success", "emails": odd}, U) for odd in (None, [], [None], "x", {"x": 1}, 1)),
        *(Case(200, {"status": "success", "job_id": odd}, U) for odd in (None, "", 1, [], True)),
        *(Case(200, {"status": status, "code": 204, "job_id": "x"}, U) for status in (None, "", "ok", True)),
        Case(200, unisender(204, "No valid recipients"), P, L),
        Case(200, b"", U),
        login(401, unisender(102, "Can not decode key")),
        login(401, unisender(114, "User with id 1 not found")),
        Case(400, unisender(206, "From email is not verified"), P, US),
        Case(400, unisender(1574, "Отправитель не подтверждён"), P, US),
        Case(403, unisender(903, "Free tariff: only to your own domains"), P, US),
        *(account(403, unisender(code, "…")) for code in (105, 106, 215, 901, 902, 904, 905)),
        account(400, unisender(1588, "no right for skip_unsubscribe")),
        Case(400, unisender(111, "JSON parsing error"), P),
        Case(413, unisender(199, "Request too large"), P, L),
        Case(429, unisender(0, "Too many requests"), T, PACE, wait=3, headers={"Retry-After": "3"}),
        Case(500, unisender(150, "An unknown internal error occurred"), T),
        Case(503, b"", T),
    ],
}
EVERY = [
    pytest.param(dialect, case, id=f"{dialect} {case.status} {str(case.body)[:60]}")
    for dialect, cases in CASES.items()
    for case in cases
]


def handed_over(dialect: str, action: Any) -> tuple[list[Receipt], ProviderError | None, HttpServer]:
    """What becomes of one letter, what is raised beside, and the server that answered."""
    receipts: list[Receipt] = []
    with HttpServer(api=APIS[dialect], token=TOKEN) as server:
        server.always("answer", action)
        where = ("http", "127.0.0.1", server.port, server.path, TOKEN, dialect)
        provider = HttpProvider(HttpConfig(*where, connections=1, timeout=TIMEOUT))
        raised = None
        try:
            drain(provider.deliver([letter(1)]), receipts)
        except ProviderError as error:
            raised = error
        provider.close()
    assert server.violations == []
    assert server.requests == 1
    return receipts, raised, server


@pytest.mark.parametrize(("dialect", "case"), EVERY)
def test_an_answer_means_what_the_service_says_it_does(dialect: str, case: Case) -> None:
    receipts, raised, _ = handed_over(dialect, Answer(case.status, case.body, case.headers))
    (receipt,) = receipts
    assert (receipt.outcome, receipt.about, receipt.retry_after) == (case.outcome, case.about, case.wait), (
        receipt.answer
    )
    assert receipt.code == (None if case.outcome is U else case.status)
    assert type(raised) is (case.raised or type(None))
    assert receipt.answer
    assert receipt.answer.isprintable()
    assert TOKEN not in receipt.answer + str(raised)


@pytest.mark.parametrize("dialect", SERVICES)
def test_what_a_service_answers_to_a_letter_that_it_took_is_never_unknown(dialect: str) -> None:
    with HttpServer(api=APIS[dialect], token=TOKEN) as server:
        where = ("http", "127.0.0.1", server.port, server.path, TOKEN, dialect)
        provider = HttpProvider(HttpConfig(*where, connections=2, timeout=TIMEOUT))
        receipts = list(provider.deliver([letter(number) for number in range(1, 21)]))
        provider.close()
    assert {receipt.outcome for receipt in receipts} == {A}
    assert all(receipt.answer.startswith(("id ", "Queued. Thank you. / id ")) for receipt in receipts)
    assert server.violations == []
    assert sorted(each.recipient for each in server.letters) == sorted(each.letter.recipient for each in receipts)


def test_each_service_has_a_dialect_a_page_of_answers_and_an_api_to_be_tried_with() -> None:
    assert set(SERVICES) == DIALECTS.keys() - {""} == CASES.keys() == APIS.keys()


@pytest.mark.parametrize("dialect", SERVICES)
def test_every_dialect_is_told_of_all_that_can_happen_to_a_letter(dialect: str) -> None:
    assert {A, T, P, U, R} == {case.outcome for case in CASES[dialect]}
    assert {L, US} <= {case.about for case in CASES[dialect]}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("body", [b"", b"<h1>Bad Gateway</h1>", b'{"message": "Internal server error"', b"[]"])
@pytest.mark.parametrize("status", [408, 500, 501, 502, 504, 520, 599])
def test_a_fault_on_the_way_is_tried_again_only_where_a_second_post_is_no_second_letter(
    status: int, body: bytes, dialect: str
) -> None:
    verdict = judged(status, "Reason", {}, body, dialect=DIALECTS[dialect])
    once = dialect == ""
    assert (verdict.outcome, verdict.code) == ((T, status) if once else (U, None))
    if not once:
        assert verdict.answer.startswith(f"{status} was answered, after which the letter may have been taken: ")


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("status", [425, 429, 503])
def test_what_says_later_before_any_letter_is_read_is_tried_again_everywhere(status: int, dialect: str) -> None:
    assert judged(status, "Reason", {}, b"", dialect=DIALECTS[dialect]).outcome is T


def test_the_dialects_that_count_on_a_key_are_those_that_give_one() -> None:
    assert {name for name, dialect in DIALECTS.items() if dialect.idempotent} == {""}


@pytest.mark.parametrize("dialect", SERVICES)
def test_a_wrong_token_returns_the_letter_and_says_so(dialect: str) -> None:
    refusal = APIS[dialect].refused()
    receipts, raised, _ = handed_over(dialect, refusal)
    assert [receipt.outcome for receipt in receipts] == [R]
    assert isinstance(raised, LoginRefused)
    assert f"{dialect}://127.0.0.1:" in str(raised)
    assert " refuses the token: " in str(raised)


def test_an_account_that_may_not_send_is_no_wrong_token() -> None:
    _, raised, _ = handed_over("postmark", Answer(422, postmark(413, "This account is not approved to send email.")))
    assert " takes no letters of this account: 422 413: This account is not approved" in str(raised)


def test_a_letter_taken_by_202_is_taken_though_the_connection_breaks_in_its_empty_body() -> None:
    head = b"HTTP/1.1 202 Accepted\r\nContent-Length: 500\r\n\r\n"
    receipts, _, _ = handed_over("sendgrid", Raw(head, close=True))
    assert [(receipt.outcome, receipt.code) for receipt in receipts] == [(A, 202)]


@pytest.mark.parametrize("dialect", [each for each in SERVICES if each != "sendgrid"])
def test_a_success_that_breaks_off_in_its_body_is_unknown(dialect: str) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"
    receipts, _, _ = handed_over(dialect, Raw(head, close=True))
    assert [receipt.outcome for receipt in receipts] == [U]


def test_the_name_that_a_service_gives_a_letter_is_kept() -> None:
    receipts, _, _ = handed_over("sendgrid", Answer(202, b"", {"X-Message-Id": "9lEKfIWVQFmuBZFbnRCXrw"}))
    assert receipts[0].answer == "id 9lEKfIWVQFmuBZFbnRCXrw"


@pytest.mark.parametrize("wait", ["soon", "-1", "9" * 400, "٣", "1e9", "Tue, 01 Dec 2020 12:00:00 -0000"])
@pytest.mark.parametrize(
    ("dialect", "header"), [("sendgrid", "X-RateLimit-Reset"), ("brevo", "x-sib-ratelimit-reset"), ("mailgun", "")]
)
def test_nonsense_about_waiting_does_no_harm(dialect: str, header: str, wait: str) -> None:
    body = json.dumps({"message": f"try again after {wait}"}).encode()
    verdict = judged(429, "", {header: wait} if header else {}, body, dialect=DIALECTS[dialect])
    assert verdict.outcome is T
    assert verdict.retry_after in (None, LONGEST_WAIT)


NAMES = [
    *("status", "id", "message", "messageId", "error", "errors", "field", "data", "code", "ErrorCode", "Message"),
    *("failed_emails", "emails", "job_id"),
]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(NAMES) | st.text(), inner),
)


@pytest.mark.parametrize("dialect", DIALECTS)
@given(
    status=st.integers(100, 999) | st.sampled_from([200, 201, 202, 400, 401, 403, 422, 429]),
    body=st.binary() | VALUES.map(json.dumps).map(str.encode),
    headers=st.dictionaries(
        st.sampled_from(["Retry-After", "Date", "Content-Encoding", "Location", "X-RateLimit-Reset", "X-Message-Id"]),
        st.text() | st.just("gzip"),
    ),
)
def test_whatever_is_answered_there_is_a_verdict(
    dialect: str, status: int, body: bytes, headers: dict[str, str]
) -> None:
    verdict = judged(status, "Reason", headers, body, dialect=DIALECTS[dialect])
    assert verdict.retry_after is None or 0 <= verdict.retry_after <= LONGEST_WAIT
    assert (verdict.outcome is R) == (verdict.refusal is not None)
    if status >= 500 or status == 429:
        assert verdict.outcome in (T, U)
