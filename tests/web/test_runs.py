"""The pages of a run: who sees what of it, how it is watched, its letters one by one, and a second try."""

import re
import tracemalloc
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from guardian.shortcuts import assign_perm

from dispatcher.ledger.rows import Claimed, NextRun
from dispatcher.sending.compose import letter_writer
from tests.web.ledger import make_run
from vestnik import sharing
from vestnik.clients import verbs as clients
from vestnik.clients.models import Client
from vestnik.mailings import verbs
from vestnik.mailings.ledger import runs
from vestnik.mailings.ledger.models import Delivery, Run
from vestnik.mailings.models import Mailing
from vestnik.testing.factories import make_mailing

SCRIPT = "<script>alert(1)</script>"
HTMX = {"HX-Request": "true"}

pytestmark = pytest.mark.usefixtures("valkey")


@pytest.fixture
def as_alice(client, alice):
    client.force_login(alice)
    return client


@pytest.fixture
def as_maria(client, maria):
    from django.contrib.auth.models import Group, Permission

    Group.objects.get(name="managers").permissions.add(Permission.objects.get(codename="view_mailing"))
    client.force_login(maria)
    return client


def at(name, run, *args):
    return reverse(f"runs:{name}", args=[run.pk, *args])


def pages(run):
    letter = run.deliveries.first()
    return [*(at(name, run) for name in ("detail", "live", "letter", "letters", "csv")), at("delivery", run, letter.pk)]


def text(response):
    return (b"".join(response.streaming_content) if response.streaming else response.content).decode()


def said(response):
    return [str(message) for message in response.context["messages"]]


def press(client, run, state="failed", key=None, **more):
    data = {"state": state, "request_id": key or uuid.uuid4(), **more}
    return client.post(at("try-again", run), data, follow=True)


# Who sees what


def test_for_strangers_a_run_does_not_exist(client, alice, bob):
    run = make_run(alice, failed=1)
    client.force_login(bob)
    for address in pages(run):
        assert client.get(address).status_code == 404
    assert client.post(at("try-again", run)).status_code == 404


def test_visitors_are_asked_to_sign_in(client, alice):
    run = make_run(alice, sent=1)
    for address in pages(run):
        assert client.get(address).status_code == 302


def test_a_page_that_is_watched_goes_to_the_sign_in_when_its_reader_is_signed_out(client, alice):
    run = make_run(alice, queued=1)
    response = client.get(at("live", run), headers=HTMX)
    assert response.headers["HX-Refresh"] == "true"


def test_a_run_outlives_its_mailing_for_its_owner_and_managers(as_alice, alice, bob, maria):
    run = make_run(alice, sent=2)
    Mailing.objects.filter(pk=run.mailing_id).delete()
    for address in pages(run):
        assert as_alice.get(address).status_code == 200
    for user, status in ((bob, 404), (maria, 200)):
        as_alice.force_login(user)
        assert as_alice.get(at("detail", run)).status_code == status


def test_the_blocked_see_nothing_of_their_own(alice):
    make_run(alice, sent=1)
    alice.is_active = False
    assert not runs.visible_to(alice).exists()


def test_the_owner_reads_addresses_whole(as_alice, alice):
    run = make_run(alice, failed=1)
    letter = run.deliveries.get()
    for address in (at("detail", run), at("letters", run), at("csv", run), at("delivery", run, letter.pk)):
        assert letter.address in text(as_alice.get(address))


def test_a_manager_reads_no_address_whole_anywhere(as_maria, alice):
    run = make_run(alice, sent=1, failed=1)
    letter = run.deliveries.get(state="failed")
    local = letter.address.partition("@")[0]
    letter.tries.update(answer=f"<{letter.address}>: mailbox {local.upper()} is not here")
    for address in [*pages(run), at("delivery", run, letter.pk)]:
        page = text(as_maria.get(address))
        assert local not in page.lower()
        assert "Client " not in page.replace("Clients", "")
    assert "c…@example.org" in text(as_maria.get(at("letters", run)))


def test_a_manager_cannot_search_for_an_address(as_maria, alice):
    run = make_run(alice, sent=2)
    response = as_maria.get(at("letters", run), {"q": run.deliveries.first().address})
    assert len(response.context["lines"]) == 2
    assert 'name="q"' not in text(response)


def test_with_whom_a_mailing_is_shared_sees_its_runs_but_no_address(client, alice, bob):
    run = make_run(alice, sent=1)
    assign_perm("mailings.view_mailing", bob, run.mailing)
    client.force_login(bob)
    page = text(client.get(at("detail", run)))
    assert "c…@example.org" in page
    assert run.deliveries.get().address not in page


# Watching it


def test_a_run_is_watched_only_while_it_is_open(as_alice, alice):
    open_run = make_run(alice, sent=1, queued=1)
    over = make_run(alice, sent=1)
    assert 'hx-trigger="every 1s"' in text(as_alice.get(at("detail", open_run)))
    assert 'hx-trigger="every 1s"' in text(as_alice.get(at("live", open_run), headers=HTMX))
    assert "every 1s" not in text(as_alice.get(at("detail", over)))


def test_who_watched_a_run_to_its_end_gets_the_whole_page_again(as_alice, alice):
    run = make_run(alice, sent=1, queued=1)
    Run.objects.filter(pk=run.pk).update(state="finished", finished_at=timezone.now())
    assert as_alice.get(at("live", run), headers=HTMX).headers["HX-Refresh"] == "true"


def test_totals_stand_with_their_shares(as_alice, alice):
    run = make_run(alice, sent=2, failed=1, queued=1)
    page = as_alice.get(at("detail", run))
    assert [(tile.count, tile.share) for tile in page.context["tiles"]] == [(2, 50.0), (1, 25.0), (1, 25.0)]
    assert "75 % done" in text(page)
    assert 'aria-valuenow="75"' in text(page)
    pieces = [
        '<rect class="fill-green" x="0.000%" width="50.000%"',
        '<rect class="fill-red" x="50.000%" width="25.000%"',
    ]
    assert re.findall(r'<rect class="[^"]+" x="[^"]+" width="[^"]+"', text(page)) == pieces


def test_a_number_of_letters_leads_to_these_letters(as_alice, alice):
    run = make_run(alice, sent=2, failed=5, queued=1)
    page = text(as_alice.get(at("detail", run)))
    assert f'<a href="{at("letters", run)}?state=failed">5</a>' in page
    assert text(as_alice.get(at("letters", run), {"state": "failed"})).count("status-red") == 5


def test_a_row_of_runs_adds_up(as_alice, alice):
    run = make_run(alice, sent=2, failed=1, expired=1, queued=3)
    for page in ("/overview/", f"/mailings/{run.mailing.pk}/"):
        row = re.search(rf"<tr>(?:(?!</tr>).)*/runs/{run.pk}/.*?</tr>", text(as_alice.get(page)), re.DOTALL)
        assert row
        sent, failed, other, to_go, letters = map(int, re.findall(r'class="number[^"]*">(?:<a [^>]*>)?(\d+)<', row[0]))
        assert (sent + failed + other + to_go, to_go) == (letters, 3)


def test_a_letters_page_shows_the_letter_as_its_client_got_it_to_its_owner_alone(as_alice, alice, client, bob):
    run = make_run(alice, sent=1)
    Run.objects.filter(pk=run.pk).update(html="<p>Dear {{ full_name }},</p>")
    letter = run.deliveries.get()
    name = alice.clients.get(pk=letter.client_id).full_name
    assert reverse("runs:delivery-letter", args=[run.pk, letter.pk]) in text(
        as_alice.get(at("delivery", run, letter.pk))
    )
    frame = as_alice.get(at("delivery-letter", run, letter.pk))
    assert f"<p>Dear {name},</p>" in text(frame)
    assert "sandbox" in frame["Content-Security-Policy"]
    assert name not in text(as_alice.get(at("delivery-letter", run, letter.pk), {"pictures": "1"}))

    sharing.share(run.mailing, alice, bob.email, "view")
    client.force_login(bob)
    assert "<p>Dear {{ full_name }},</p>" in text(client.get(at("delivery-letter", run, letter.pk)))


def frame_of(browser, run):
    return text(browser.get(at("delivery-letter", run, run.deliveries.get().pk)))


def test_a_letters_page_fills_in_attributes_however_the_owner_spells_them(as_alice, alice):
    run = make_run(alice, sent=1)
    Run.objects.filter(pk=run.pk).update(html="<p>{{ attributes.city }}!</p>")
    client = alice.clients.get(pk=run.deliveries.get().client_id)
    client.attributes = {"City": "Tula"}
    clients.save_client(client)
    assert "<p>Tula!</p>" in frame_of(as_alice, run)


@pytest.mark.parametrize(
    ("html", "why"),
    [("<p>{{ full_name }}</p>" * 200, "and may have 1,000"), ("<p>{{ name }}</p>", "A letter has no {{ name }}")],
)
def test_the_page_of_a_letter_that_cannot_be_made_says_why(as_alice, alice, settings, html, why):
    run = make_run(alice, failed=1)
    Run.objects.filter(pk=run.pk).update(html=html)
    settings.MAX_LETTER_BYTES = 1_000
    assert why in frame_of(as_alice, run)


def test_a_letters_page_offers_to_load_its_pictures(as_alice, alice):
    run = make_run(alice, sent=1)
    address = at("delivery-letter", run, run.deliveries.get().pk)
    for html, offered in (("<p>x</p>", False), ('<img src="https://x.example/a">', True)):
        Run.objects.filter(pk=run.pk).update(html=html)
        page = text(as_alice.get(at("delivery", run, run.deliveries.get().pk)))
        assert (f'href="{address}?pictures=1"' in page) == offered
        assert ("Pictures of other servers are not loaded" in page) == offered


def test_a_million_letters_are_grouped_for_the_eye(as_alice, alice):
    run = make_run(alice, sent=1, queued=1)
    Run.objects.filter(pk=run.pk).update(total=1234567)
    page = text(as_alice.get(at("detail", run)))
    assert "1,234,567 letters" in page
    assert 'aria-valuenow="0"' in page


def test_a_run_that_waits_says_why(as_alice, alice):
    run = make_run(alice, sent=1, queued=1)
    verbs.pause(run.mailing)
    page = as_alice.get(at("detail", run))
    assert page.context["progress"].waiting in text(page)
    assert "aused" in page.context["progress"].waiting
    assert reverse("mailings:resume", args=[run.mailing_id]) in text(page)


@pytest.mark.parametrize(("state", "words"), [("missed", "did not take place"), ("skipped", "was left out")])
def test_an_occurrence_without_a_run_says_why(as_alice, alice, state, words):
    mailing, now = make_mailing(alice), timezone.now()
    run = Run.objects.create(
        mailing=mailing, owner_id=alice.pk, occurrence=now, state=state, reason="the service was not running",
        window_end=now, filled_at=now, finished_at=now,
    )  # fmt: skip
    page = text(as_alice.get(at("detail", run)))
    assert words in page
    assert "the service was not running" in page
    mailing.delete()
    assert "A deleted mailing" in text(as_alice.get(at("detail", run)))


def test_a_run_without_letters_says_so(as_alice, alice):
    run = runs.open_run(make_mailing(alice), timezone.now() + timedelta(hours=1))
    assert "Its letters are being written" in text(as_alice.get(at("detail", run)))
    now = timezone.now()
    Run.objects.filter(pk=run.pk).update(state="finished", filled_at=now, finished_at=now)
    assert "nobody to write to" in text(as_alice.get(at("detail", run)))


def test_a_cancelled_run_offers_nothing_more(as_alice, alice):
    run = make_run(alice, sent=1, failed=1, cancelled=1)
    Run.objects.filter(pk=run.pk).update(state="cancelled", cancelled_at=timezone.now())
    page = text(as_alice.get(at("detail", run)))
    assert at("try-again", run) not in page
    assert reverse("mailings:cancel", args=[run.mailing_id]) not in page


# Its message and its letters


def test_what_others_wrote_is_never_run(as_alice, alice):
    run = make_run(alice, name=SCRIPT, failed=1, answer=SCRIPT)
    Run.objects.filter(pk=run.pk).update(subject=SCRIPT, text=SCRIPT, html=f"<p>Dear</p>{SCRIPT}", sender_name=SCRIPT)
    Client.objects.update(full_name=SCRIPT)
    frame = at("letter", run)
    for address in pages(run):
        response = as_alice.get(address)
        if address == frame:
            assert "sandbox" in response.headers["Content-Security-Policy"]
            assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        elif not response.streaming:
            assert SCRIPT not in text(response)
            assert "script-src" not in response.headers["Content-Security-Policy"]


def test_the_journal_is_narrowed_by_state_and_address(as_alice, alice):
    run = make_run(alice, sent=3, failed=2)
    failed = as_alice.get(at("letters", run), {"state": "failed"})
    assert [line.delivery.state for line in failed.context["lines"]] == ["failed", "failed"]
    wanted = run.deliveries.last().address
    found = as_alice.get(at("letters", run), {"q": wanted.upper()})
    assert [line.address for line in found.context["lines"]] == [wanted]


@pytest.mark.parametrize("asked", ["state=nonsense", "after=x", "after=99999999999999999999", "q=%00%25_", "after=-1"])
def test_a_journal_can_be_asked_for_nonsense(as_alice, alice, asked):
    assert as_alice.get(at("letters", make_run(alice, sent=1)) + "?" + asked).status_code == 200


def test_every_letter_stands_on_one_page_of_the_journal(as_alice, alice):
    run = make_run(alice, sent=60, failed=60)
    seen, query = [], ""
    while query is not None:
        page = as_alice.get(at("letters", run) + query)
        seen += [line.delivery.pk for line in page.context["lines"]]
        query = f"?after={page.context['following']}" if page.context["following"] else None
        assert query is None or f"after={page.context['following']}" in text(page)
    assert sorted(seen) == sorted(run.deliveries.values_list("pk", flat=True))
    assert len(set(seen)) == len(seen) == 120


def test_htmx_gets_the_journal_s_table_alone_but_the_back_button_a_whole_page(as_alice, alice):
    run = make_run(alice, sent=1)
    assert "<html" not in text(as_alice.get(at("letters", run), headers=HTMX))
    assert "HX-Request" in as_alice.get(at("letters", run), headers=HTMX).headers["Vary"]
    restored = as_alice.get(at("letters", run), headers={**HTMX, "HX-History-Restore-Request": "true"})
    assert "<html" in text(restored)


def test_a_run_s_pages_ask_as_much_of_the_database_for_thirty_letters_as_for_one(as_alice, alice):
    counts = []
    for number in (1, 30):
        run = make_run(alice, sent=number, failed=number, queued=number)
        as_alice.get(at("detail", run))  # notes when the user was seen
        with CaptureQueriesContext(connection) as queries:
            as_alice.get(at("detail", run))
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_a_letter_shows_every_try_whole_and_the_id_it_went_under(as_alice, alice):
    run = make_run(alice, failed=1, answer="line one\nline two of a long story")
    letter = run.deliveries.get()
    page = text(as_alice.get(at("delivery", run, letter.pk)))
    assert "line one\nline two of a long story" in page
    assert "550" in page
    assert "bulk@host" not in page, "the machines' names are the operators' affair"
    turn = NextRun(
        run.pk, 60.0, run.key, run.sender, "", "", run.subject, run.html, run.text, None, alice.pk, "mailing"
    )
    written = letter_writer(turn)(Claimed(letter.pk, 1, datetime.now(UTC), 0, letter.address, "", "{}", True))
    assert f"&lt;{written.key}&gt;" in page


def test_the_journal_shows_addresses_as_people_write_them(as_alice, alice):
    run = make_run(alice, sent=2)
    anna, bob = run.deliveries.order_by("pk")
    Delivery.objects.filter(pk=anna.pk).update(address="anna@example.org")
    Delivery.objects.filter(pk=bob.pk).update(address="bob@xn--e1afmkfd.xn--p1ai")
    for page in pages(run):
        assert "xn--" not in text(as_alice.get(page))
    for page in (at("letters", run), at("csv", run)):
        assert "bob@пример.рф" in text(as_alice.get(page))
        found = text(as_alice.get(page, {"q": "@ПРИМЕР.рф"}))
        assert "bob@пример.рф" in found
        assert "anna@" not in found


def test_a_letter_is_found_only_under_its_own_run(as_alice, alice, bob):
    run, other = make_run(alice, sent=1), make_run(bob, sent=1)
    assert as_alice.get(at("delivery", run, other.deliveries.get().pk)).status_code == 404


def test_the_letter_of_a_client_who_was_deleted_can_still_be_read(as_alice, alice):
    run = make_run(alice, sent=1)
    Client.objects.all().delete()
    page = text(as_alice.get(at("delivery", run, run.deliveries.get().pk)))
    assert "deleted since" in page
    assert run.deliveries.get().address in text(as_alice.get(at("letters", run)))


# The table for spreadsheets


def test_the_table_honours_the_filter_and_holds_no_formula(as_alice, alice):
    run = make_run(alice, sent=2, failed=1, answer="=1+1")
    Client.objects.update(full_name="+7 =HYPERLINK()")
    response = as_alice.get(at("csv", run), {"state": "failed"})
    lines = text(response).splitlines()
    assert lines[0].startswith('\ufeff"address",')
    assert len(lines) == 2
    assert "'+7 =HYPERLINK()" in lines[1]
    assert "'=1+1" in lines[1]
    assert f"run-{run.pk}.csv" in response.headers["Content-Disposition"]


def test_the_table_s_times_are_the_reader_s(as_alice, alice):
    alice.time_zone = "Asia/Tokyo"
    alice.save()
    run = make_run(alice, sent=1)
    Delivery.objects.update(settled_at=datetime(2026, 5, 1, 20, 30, tzinfo=UTC))
    assert "2026-05-02 05:30:00" in text(as_alice.get(at("csv", run)))


def test_a_long_table_takes_no_more_memory(as_alice, alice):
    run = make_run(alice, sent=1)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO mailings_delivery (run_id, client_id, address, state, settled_at)"
            " SELECT %s, n, 'client' || n || '@example.org', 'sent', now() FROM generate_series(1000000, 1100000) n",
            [run.pk],
        )
    response = as_alice.get(at("csv", run))
    tracemalloc.start()
    size = sum(len(part) for part in response.streaming_content)
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size > 4_000_000
    assert peak < 4_000_000


# Trying again


def test_failed_letters_are_queued_again(as_alice, alice):
    run = make_run(alice, sent=1, failed=2, unknown=1)
    assert at("try-again", run) in text(as_alice.get(at("detail", run)))
    response = press(as_alice, run)
    assert said(response)
    assert sorted(run.deliveries.values_list("state", flat=True)) == ["queued", "queued", "sent", "unknown"]
    assert response.redirect_chain[-1][0] == at("detail", run)


def test_unknown_letters_are_tried_again_apart_and_with_a_warning(as_alice, alice):
    run = make_run(alice, failed=1, unknown=1)
    assert "may get it twice" in text(as_alice.get(at("detail", run)))
    press(as_alice, run, "unknown")
    assert sorted(run.deliveries.values_list("state", flat=True)) == ["failed", "queued"]


def test_a_single_letter_is_tried_again_from_its_own_page(as_alice, alice):
    run = make_run(alice, failed=2)
    letter = run.deliveries.first()
    assert at("try-again", run) in text(as_alice.get(at("delivery", run, letter.pk)))
    press(as_alice, run, delivery=letter.pk)
    assert dict(run.deliveries.values_list("pk", "state"))[letter.pk] == "queued"
    assert run.deliveries.filter(state="failed").count() == 1


def test_a_second_click_tries_nothing_more(as_alice, alice):
    run, key = make_run(alice, failed=1), uuid.uuid4()
    press(as_alice, run, key=key)
    verbs.cancel(run.mailing)
    again = press(as_alice, run, key=key)
    assert again.redirect_chain[-1][0] == at("detail", run)
    assert Run.objects.count() == 1


def test_a_refusal_is_said_on_the_page(as_alice, alice):
    run = make_run(alice, failed=1)
    verbs.pause(run.mailing)
    response = press(as_alice, run)
    assert "paused" in said(response)[0]
    assert run.deliveries.get().state == "failed"


@pytest.mark.parametrize("forged", [{"state": "sent"}, {"request_id": "x"}, {"delivery": "x"}, {"state": ""}])
def test_a_forged_button_tries_nothing(as_alice, alice, forged):
    run = make_run(alice, sent=1, failed=1)
    response = as_alice.post(
        at("try-again", run), {"state": "failed", "request_id": uuid.uuid4(), **forged}, follow=True
    )
    assert said(response)
    assert sorted(run.deliveries.values_list("state", flat=True)) == ["failed", "sent"]


def test_a_manager_looks_and_changes_nothing(as_maria, alice):
    run = make_run(alice, failed=1, queued=1)
    page = text(as_maria.get(at("detail", run)))
    assert at("try-again", run) not in page
    assert reverse("mailings:pause", args=[run.mailing_id]) not in page
    assert as_maria.post(at("try-again", run)).status_code == 403
    assert as_maria.get(at("try-again", run)).status_code in (403, 405)
