"""The admin site: every page opens for a superuser, saves by the verbs, and leaves the ledger alone."""

from datetime import timedelta

import pytest
from django.contrib.admin import site
from django.contrib.admin.utils import flatten, flatten_fieldsets
from django.contrib.auth.models import Group
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.html import strip_tags

from tests.web.test_hostile_requests import filled
from vestnik import access, sharing
from vestnik.accounts.models import AuditEntry, Share, User
from vestnik.clients import suppressions
from vestnik.clients.models import Client, ClientList, Membership, Suppression
from vestnik.clients.suppressions import SuppressionReason
from vestnik.mailings import verbs
from vestnik.mailings.ledger import runs
from vestnik.mailings.models import Attempt, Delivery, Mailing, Message, Run, Tally, Worker
from vestnik.testing import factories

OWN = [User, Client, ClientList, Message, Mailing]
BY_HAND = [Suppression]
LEDGER = [Run, Delivery, Attempt, Tally, Worker, AuditEntry, Share]
PAGES = [*OWN, *BY_HAND, Group, *LEDGER]
DAY = timedelta(days=1)


@pytest.fixture
def superuser(db):
    return User.objects.create_superuser("root@example.org", "a long password")


@pytest.fixture
def browser(client, superuser):
    client.force_login(superuser)
    return client


def page(name, model, *args):
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}", args=args)


def fill(owner, number):
    """`number` of everything that a page can show."""
    for _ in range(number):
        count = Mailing.objects.count()
        User.objects.create_user(f"user{count}@example.org")
        Group.objects.create(name=f"group {count}")
        mailing = factories.make_mailing(owner, 1)
        sharing.share(mailing, owner, "somebody@example.org", "view")
        suppressions.suppress(owner.pk, [f"somebody{count}@example.org"], SuppressionReason.BY_HAND)
        worker = Worker.objects.create(name=f"worker {count}", provider="smtp")
        run = runs.open_run(mailing, mailing.end)
        Tally.objects.create(run=run, worker_id=worker.pk, hour=timezone.now(), sent=1, attempts=1)
        for client in Client.objects.filter(lists__mailings=mailing):
            letter = Delivery.objects.create(run=run, client_id=client.pk, address=client.email, state="sent")
            Attempt.objects.create(
                delivery=letter, claim=1, outcome="accepted", charged=True, began_at=timezone.now(), duration=0.1,
                worker=worker,
            )  # fmt: skip


def said(response):
    return [str(message) for message in response.context["messages"]]


# Signing in


def sign_in(client, next_page, email="root@example.org"):
    """Follow the admin site to where one signs in, and do."""
    client.get(client.get(next_page).url, follow=True)
    login = client.get(client.get(next_page).url)
    assert login.url.startswith("/en/accounts/login/?next=")
    return client.post(login.url, {"login": email, "password": "a long password"})


@pytest.mark.usefixtures("valkey")
def test_one_signs_in_where_everybody_does_and_comes_back(client, superuser):
    answer = sign_in(client, "/admin/accounts/user/?q=root")
    assert client.get(answer.url, follow=True).request["PATH_INFO"] == "/admin/accounts/user/"
    assert client.get("/admin/login/?next=/admin/clients/").url == "/admin/"


@pytest.mark.usefixtures("valkey")
def test_guessing_at_the_admin_site_is_guessing_at_the_sign_in_page(client, superuser):
    form = {"username": superuser.email, "password": "a long password"}
    answer = client.post("/admin/login/?next=/admin/", form)
    assert answer.url == "/en/accounts/login/?next=%2Fadmin%2F"
    assert "_auth_user_id" not in client.session


@pytest.mark.usefixtures("valkey")
@pytest.mark.parametrize("what", ["confirmed_at", "is_active"])
def test_an_unconfirmed_or_blocked_superuser_does_not_get_in(client, superuser, what):
    User.objects.update(**{what: None if what == "confirmed_at" else False})
    sign_in(client, "/admin/")
    assert "_auth_user_id" not in client.session


def test_a_superuser_who_may_not_open_the_admin_site_is_told_so_and_not_led_to_it(client, superuser):
    User.objects.update(is_staff=False)
    client.force_login(superuser)
    assert reverse("admin:index") not in client.get("/overview/").content.decode()
    answer = client.get("/admin/", follow=True)
    assert answer.status_code == 403
    assert len(answer.redirect_chain) == 1


# Looking


@pytest.mark.parametrize("model", PAGES)
def test_every_page_opens_for_a_superuser(browser, alice, model):
    fill(alice, 1)
    assert browser.get(page("changelist", model)).status_code == 200
    for thing in model.objects.all():
        response = browser.get(page("change", model, thing.pk))
        assert response.status_code == 200, thing
    if model not in LEDGER:
        assert browser.get(page("add", model)).status_code == 200


def test_a_page_of_many_asks_no_more_than_a_page_of_one(browser, alice):
    def asked():
        counts = {}
        for model in PAGES:
            with CaptureQueriesContext(connection) as queries:
                browser.get(page("changelist", model))
            counts[model] = len(queries)
        return counts

    fill(alice, 1)
    asked()  # content types and the like are remembered
    of_one = asked()
    fill(alice, 19)
    assert asked() == of_one
    assert max(of_one.values()) <= 10
    assert min(model.objects.count() for model in PAGES) == 20  # type: ignore[attr-defined]


def test_counting_stops_at_the_cap(browser, alice, monkeypatch):
    monkeypatch.setattr("web.admin.base.CappedPaginator.cap", 5)
    factories.make_clients(alice, 7)
    response = browser.get(page("changelist", Client))
    assert response.context["cl"].result_count == 5


def test_clients_are_found_by_the_beginning_of_address_or_name(browser, alice):
    Client.objects.create(owner=alice, email="ann@example.org", full_name="Ёлкина Анна")
    Client.objects.create(owner=alice, email="bob@example.org", full_name="Bob")
    for term in ("ANN@", "елкина", "Ёлк"):
        response = browser.get(page("changelist", Client), {"q": term})
        assert [client.email for client in response.context["cl"].result_list] == ["ann@example.org"]
    assert not browser.get(page("changelist", Client), {"q": "xample"}).context["cl"].result_list


def test_letters_are_found_by_number_and_within_a_run_by_address_and_state(browser, alice):
    fill(alice, 2)
    letter = Delivery.objects.latest("pk")
    listing = page("changelist", Delivery)

    def found(**query):
        return list(browser.get(listing, query).context["cl"].result_list)

    assert found(q=letter.pk) == [letter]
    assert found(q=letter.address.upper(), run__id__exact=letter.run_id) == [letter]
    assert found(q=letter.client_id, run__id__exact=letter.run_id) == [letter]
    assert found(state="sent", run__id__exact=letter.run_id) == [letter]
    assert found(state="failed", run__id__exact=letter.run_id) == []
    assert found(q="9" * 30) == []
    response = browser.get(listing, {"q": letter.address})
    assert said(response) == ["Addresses can be searched within a run."]
    assert list(browser.get(page("changelist", Attempt), {"q": letter.pk}).context["cl"].result_list) == list(
        letter.tries.all()
    )


@pytest.mark.parametrize("model", LEDGER)
def test_the_ledgers_search_takes_anything(browser, alice, model):
    fill(alice, 1)
    for term in ("1", "x", "9" * 30, "' OR 1", "²"):
        assert browser.get(page("changelist", model), {"q": term}).status_code == 200


def test_a_nul_finds_nothing_and_breaks_nothing(browser, alice):
    fill(alice, 1)
    run = Run.objects.get()
    for model in PAGES:
        for query in ("q=%00", "e=%00", "p=%00", "o=%00"):
            assert browser.get(f"{page('changelist', model)}?{query}").status_code in (200, 302)
    of_run = f"{page('changelist', Delivery)}?run__id__exact={run.pk}"
    assert browser.get(f"{of_run}&state=%00").context["cl"].result_count == 1
    wanted = "app_label=mailings&model_name=mailing&field_name=clients"
    for term in ("%00", "%00client"):
        found = browser.get(f"/admin/autocomplete/?{wanted}&term={term}")
        assert len(found.json()["results"]) == 1


def test_a_run_shows_its_totals_and_leads_to_its_letters(browser, alice):
    fill(alice, 1)
    run = Run.objects.get()
    content = browser.get(page("change", Run, run.pk)).content.decode()
    assert "sent: 1" in content
    letters = f"{page('changelist', Delivery)}?run__id__exact={run.pk}"
    assert f'<a href="{letters}">' in content
    assert browser.get(letters).context["cl"].result_count == 1


def test_a_letter_shows_its_attempts(browser, alice):
    fill(alice, 1)
    attempt = Attempt.objects.get()
    Attempt.objects.filter(pk=attempt.pk).update(answer="250 <b>queued</b> as 42")
    content = browser.get(page("change", Delivery, attempt.delivery_id)).content.decode()
    assert "250 &lt;b&gt;queued&lt;/b&gt; as 42" in content


def test_a_list_leads_to_its_clients_and_a_user_to_what_they_own(browser, alice):
    client_list = factories.make_list(alice, 2)
    factories.make_clients(alice, 1)
    on_list = f"{page('changelist', Client)}?lists__id__exact={client_list.pk}"
    assert on_list in browser.get(page("change", ClientList, client_list.pk)).content.decode()
    assert browser.get(on_list).context["cl"].result_count == 2
    own = f"{page('changelist', Client)}?owner__id__exact={alice.pk}"
    assert own in browser.get(page("change", User, alice.pk)).content.decode()
    assert browser.get(own).context["cl"].result_count == 3


def test_what_jobs_leave_behind_is_not_shown(browser):
    assert not [model for model in site._registry if model._meta.app_label in ("django_dramatiq", "guardian")]


# Who may


@pytest.mark.parametrize("model", PAGES)
def test_nobody_but_a_superuser_gets_in(client, alice, maria, model):
    client.force_login(alice)
    assert client.get(page("changelist", model)).status_code == 302
    User.objects.filter(pk=maria.pk).update(is_staff=True)
    client.force_login(maria)
    assert client.get(page("changelist", model)).status_code == 403


@pytest.mark.parametrize("model", LEDGER)
def test_the_ledger_is_read_only_even_for_a_superuser(browser, alice, model):
    fill(alice, 1)
    thing = model.objects.get()
    before = model.objects.values().get()
    data = {"state": "failed", "name": "x", "outcome": "permanent", "sent": 9, "_save": "Save"}
    assert browser.post(page("change", model, thing.pk), data).status_code == 403
    assert browser.post(page("delete", model, thing.pk), {"post": "yes"}).status_code == 403
    assert browser.get(page("add", model)).status_code == 403
    assert browser.post(page("add", model), data).status_code == 403
    chosen = {"action": "delete_selected", "_selected_action": [thing.pk], "post": "yes"}
    browser.post(page("changelist", model), chosen)
    assert model.objects.values().get() == before


def test_deleting_a_user_ends_the_account_and_leaves_the_ledger(browser, alice):
    fill(alice, 1)
    browser.post(page("delete", User, alice.pk), {"post": "yes"})
    alice.refresh_from_db()
    run = Run.objects.get()
    assert not alice.is_active
    assert run.cancelled_at is not None
    assert Attempt.objects.filter(delivery__run=run).count() == 1
    assert page("change", User, alice.pk) not in browser.get(page("changelist", User)).content.decode()


# Saving


def mailing_data(owner, message, **changes):
    start = timezone.now() + DAY
    end = changes.pop("end", start + DAY)
    return {
        "owner": owner.pk, "name": "Weekly", "message": message.pk, "sender_name": "", "lists": [], "clients": [],
        "periodicity": "once", "time_zone": "UTC",
        "start_0": f"{start:%Y-%m-%d}", "start_1": f"{start:%H:%M:%S}",
        "end_0": f"{end:%Y-%m-%d}", "end_1": f"{end:%H:%M:%S}",
        **changes,
    }  # fmt: skip


def test_a_mailing_made_here_is_granted_to_its_owner_and_planned(browser, alice):
    client_list = factories.make_list(alice, 1)
    [single] = factories.make_clients(alice, 1)
    data = mailing_data(alice, factories.make_message(alice), lists=[client_list.pk], clients=[single.pk])
    assert browser.post(page("add", Mailing), data).status_code == 302
    mailing = Mailing.objects.get()
    assert access.may(alice, "change", mailing)
    assert mailing.next_at == mailing.start
    assert (list(mailing.lists.all()), list(mailing.clients.all())) == ([client_list], [single])


def test_a_mailing_changed_here_is_planned_again(browser, alice):
    mailing = factories.make_mailing(alice, start=timezone.now() + 5 * DAY, end=timezone.now() + 9 * DAY)
    browser.post(page("change", Mailing, mailing.pk), mailing_data(alice, mailing.message))
    mailing.refresh_from_db()
    assert mailing.name == "Weekly"
    assert mailing.next_at == mailing.start < timezone.now() + 2 * DAY
    assert not mailing.lists.exists()


def test_a_mailing_that_is_over_can_be_renamed(browser, alice):
    mailing = factories.make_mailing(alice)
    start, end = (timezone.now() - days * DAY for days in (5, 4))
    Mailing.objects.update(start=start, end=end, next_at=None)
    same = {"start_0": f"{start:%Y-%m-%d}", "start_1": f"{start:%H:%M:%S}", "end": end}
    response = browser.post(page("change", Mailing, mailing.pk), mailing_data(alice, mailing.message, **same))
    assert response.status_code == 302
    mailing.refresh_from_db()
    assert (mailing.name, mailing.start, mailing.end, mailing.next_at) == ("Weekly", start, end, None)


@pytest.mark.parametrize(
    ("changes", "field", "sentence"),
    [
        ({"end": timezone.now()}, "end", "after the start"),
        ({"start_0": "2001-01-01", "end": timezone.now() - DAY}, "end", "in the past"),
        ({"time_zone": "Moon/Crater"}, "time_zone", "not a known time zone"),
        ({"name": "a\x07b"}, "name", "control characters"),
        ({"lists": "bob's"}, "lists", "own clients and lists"),
        ({"clients": "bob's"}, "clients", "own clients and lists"),
    ],
)
def test_what_is_wrong_with_a_mailing_is_said_beside_the_field(browser, alice, bob, changes, field, sentence):
    foreign = {"lists": factories.make_list(bob).pk, "clients": factories.make_clients(bob, 1)[0].pk}
    changes = {name: [foreign[name]] if value == "bob's" else value for name, value in changes.items()}
    response = browser.post(page("add", Mailing), mailing_data(alice, factories.make_message(alice), **changes))
    assert response.status_code == 200
    assert sentence in str(response.context["adminform"].form.errors[field])
    assert not Mailing.objects.exists()


def test_clients_lists_and_messages_are_saved_by_their_verbs(browser, alice):
    inline = {"memberships-TOTAL_FORMS": 1, "memberships-INITIAL_FORMS": 0}
    browser.post(page("add", ClientList), {"owner": alice.pk, "name": "Friends"})
    friends = ClientList.objects.get()
    browser.post(
        page("add", Client),
        {"owner": alice.pk, "email": "ANN@example.org", "full_name": "Ёж", "memberships-0-client_list": friends.pk}
        | inline,
    )
    browser.post(page("add", Message), {"owner": alice.pk, "subject": "News", "text": "Hello."})
    client = Client.objects.get()
    assert (client.email, client.name_key, client.attributes) == ("ann@example.org", "еж", {})
    assert list(friends.clients.all()) == [client]
    assert access.may(alice, "change", friends)
    assert access.may(alice, "change", Message.objects.get())


def test_somebody_elses_list_cannot_be_given_to_a_client(browser, alice, bob):
    [client], foreign = factories.make_clients(alice, 1), factories.make_list(bob)
    data = {
        "email": client.email, "attributes": "{}", "memberships-TOTAL_FORMS": 1, "memberships-INITIAL_FORMS": 0,
        "memberships-0-client": client.pk, "memberships-0-client_list": foreign.pk,
    }  # fmt: skip
    response = browser.post(page("change", Client, client.pk), data)
    assert b"not the client&#x27;s owner&#x27;s" in response.content
    assert not Membership.objects.exists()


@pytest.mark.parametrize("attributes", ["[]", "[1]", '{"a": 1}', '{"a b": "x"}', "nonsense", '"x"'])
def test_attributes_that_are_none_never_break_the_page(browser, alice, attributes):
    data = {
        "owner": alice.pk, "email": "ann@example.org", "attributes": attributes,
        "memberships-TOTAL_FORMS": 0, "memberships-INITIAL_FORMS": 0,
    }  # fmt: skip
    response = browser.post(page("add", Client), data)
    assert response.status_code == (302 if attributes == "[]" else 200)


def test_addresses_are_suppressed_for_an_owner_or_for_everybody_and_lifted(browser, alice):
    for owner in (alice.pk, ""):
        for _ in range(2):
            answer = browser.post(page("add", Suppression), {"owner": owner, "address": "Bob@Example.org"})
            assert answer.status_code == 302
    kept = {each.owner_id: each for each in Suppression.objects.all()}
    assert kept.keys() == {alice.pk, None}
    assert {(each.address, each.reason) for each in kept.values()} == {("bob@example.org", "by hand")}

    suppressions.suppress(alice.pk, ["bob@example.org"], SuppressionReason.UNSUBSCRIBED)
    for each in kept.values():
        browser.post(page("delete", Suppression, each.pk), {"post": "yes"})
    left = Suppression.objects.filter(lifted_at=None)
    assert [each.owner_id for each in left] == [alice.pk], "what the person did stays"


def test_an_address_of_somebody_who_unsubscribed_is_suppressed_by_hand_as_well(browser, alice):
    suppressions.suppress(alice.pk, ["bob@example.org"], SuppressionReason.UNSUBSCRIBED)
    answer = browser.post(page("add", Suppression), {"owner": alice.pk, "address": "bob@example.org"})
    assert answer.status_code == 302
    assert sorted(Suppression.objects.values_list("reason", flat=True)) == ["by hand", "unsubscribed"]


def test_a_new_user_is_confirmed_and_an_address_can_be_taken_once(browser):
    data = {
        "email": "Carol@Example.org", "full_name": "Carol", "time_zone": "UTC", "language": "en",
        "usable_password": "true", "password1": "a-Long-one-42", "password2": "a-Long-one-42",
    }  # fmt: skip
    assert browser.post(page("add", User), data).status_code == 302
    carol = User.objects.get(email="carol@example.org")
    assert carol.is_confirmed
    assert carol.check_password("a-Long-one-42")
    response = browser.post(page("add", User), data)
    assert "exists already" in str(response.context["adminform"].form.errors["email"])


# Deleting, and the actions


def test_what_a_verb_refuses_to_delete_stays_and_the_page_says_why(browser, alice):
    fill(alice, 1)
    mailing = Mailing.objects.get()
    for thing, sentence in ((mailing, "cancel it first"), (mailing.message, "A mailing uses this message")):
        assert browser.get(page("delete", type(thing), thing.pk)).status_code == 200
        response = browser.post(page("delete", type(thing), thing.pk), {"post": "yes"}, follow=True)
        assert sentence in said(response)[0]
        chosen = {"action": "delete_selected", "_selected_action": [thing.pk]}
        assert browser.post(page("changelist", type(thing)), chosen).status_code == 200
        response = browser.post(page("changelist", type(thing)), chosen | {"post": "yes"}, follow=True)
        assert sentence in said(response)[0]
        assert type(thing).objects.filter(pk=thing.pk).exists()


def test_deleting_clients_cancels_what_is_queued_to_them(browser, alice, bob):
    fill(alice, 1)
    factories.make_clients(bob, 2)
    Delivery.objects.update(state="queued", due_at=timezone.now())
    chosen = {"action": "delete_selected", "_selected_action": list(Client.objects.values_list("pk", flat=True))}
    browser.post(page("changelist", Client), chosen | {"post": "yes"})
    assert not Client.objects.exists()
    assert Delivery.objects.get().state == "cancelled"


def test_mailings_messages_and_lists_can_be_deleted(browser, alice):
    mailing = factories.make_mailing(alice, 1)
    for thing in (mailing, mailing.message, ClientList.objects.get(), Client.objects.get()):
        browser.post(page("delete", type(thing), thing.pk), {"post": "yes"})
        assert not type(thing).objects.filter(pk=thing.pk).exists()


def test_actions_speak_of_each_mailing(browser, alice):
    later = timezone.now() + timedelta(hours=1)
    idle, busy = (factories.make_mailing(alice, 0, name=name, start=later) for name in ("Idle", "Busy"))
    verbs.send_now(busy)

    def act(action):
        chosen = {"action": action, "_selected_action": [idle.pk, busy.pk]}
        return sorted(said(browser.post(page("changelist", Mailing), chosen, follow=True)))

    assert act("pause") == ["“Busy” is paused.", "“Idle” is paused."]
    assert Mailing.objects.filter(paused_at=None).count() == 0
    assert act("resume") == ["The pause of “Busy” is over.", "The pause of “Idle” is over."]
    assert act("cancel") == ["The run of “Busy” is cancelled.", "“Idle”: This mailing has no run to cancel."]
    assert act("send_now") == ["“Busy”: A run of this mailing is not over yet.", "“Idle” is being sent."]
    assert Run.objects.filter(mailing=idle).count() == 1


def change_user(browser, user, **changes):
    """Post the page of a user with what it shows, but for `changes`; an empty value is an unticked box."""
    form = browser.get(page("change", User, user.pk)).context["adminform"].form
    shown = {name: form.get_initial_for_field(field, name) for name, field in form.fields.items()}
    data = {name: value for name, value in (shown | changes).items() if value not in (None, "", False)}
    data |= {f"confirmed_at_{part}": value for part, value in enumerate(("2026-01-01", "12:00"))}
    del data["confirmed_at"], data["password"]
    return browser.post(page("change", User, user.pk), data)


def test_blocking_on_a_users_page_goes_by_the_verb(browser, alice):
    response = change_user(browser, alice, is_active=False)
    assert "reason" in response.context["adminform"].form.errors
    alice.refresh_from_db()
    assert alice.is_active
    assert change_user(browser, alice, is_active=False, reason="Complaints").status_code == 302
    alice.refresh_from_db()
    assert (alice.is_active, alice.sessions_from) == (False, 1)
    entry = AuditEntry.objects.get()
    assert (entry.actor_address, entry.action, entry.reason) == ("root@example.org", "blocked", "Complaints")
    assert entry.from_address == "127.0.0.1"
    assert change_user(browser, alice, is_active=True).status_code == 302
    alice.refresh_from_db()
    assert (alice.is_active, alice.sessions_from) == (True, 1)
    assert list(AuditEntry.objects.order_by("pk").values_list("action", flat=True)) == ["blocked", "unblocked"]


def test_changing_a_users_name_blocks_nobody(browser, alice):
    assert change_user(browser, alice, full_name="Alice Baker").status_code == 302
    alice.refresh_from_db()
    assert (alice.full_name, alice.is_active) == ("Alice Baker", True)
    assert not AuditEntry.objects.exists()


def test_a_superuser_who_would_block_themself_is_told_so(browser, superuser):
    response = change_user(browser, superuser, is_active=False, reason="Tired")
    assert "cannot block yourself" in response.content.decode()
    superuser.refresh_from_db()
    assert superuser.is_active


def test_a_mailing_is_switched_off_with_a_reason_and_on_again(browser, alice):
    mailing = factories.make_mailing(alice, 0, name="Sale")

    def act(action, reason=""):
        chosen = {"action": action, "_selected_action": [mailing.pk], "reason": reason}
        return said(browser.post(page("changelist", Mailing), chosen, follow=True))

    assert "Say why" in act("switch_off")[0]
    assert act("switch_off", "Complaints") == ["“Sale” is switched off."]
    mailing.refresh_from_db()
    assert mailing.switched_off_reason == "Complaints"
    assert act("switch_on") == ["“Sale” is switched on."]
    assert AuditEntry.objects.count() == 2


def test_what_was_done_is_said_in_russian_whatever_the_things_gender(browser, superuser):
    User.objects.filter(pk=superuser.pk).update(language="ru")
    group = browser.post(page("add", Group), {"name": "Друзья"}, follow=True)
    assert [strip_tags(message) for message in said(group)] == ["Добавлено: группа «Друзья»."]
    gone = browser.post(page("delete", Group, Group.objects.get(name="Друзья").pk), {"post": "yes"}, follow=True)
    assert said(gone) == ["Удалено: группа «Друзья»."]


# What no page sends


def test_a_mistyped_time_zone_is_refused_beside_its_field(browser, alice):
    mailing = factories.make_mailing(alice, 1, time_zone="Europe/Moscow")
    for thing in (mailing, alice):
        address = page("change", type(thing), thing.pk)
        form = dict(filled(browser.get(address)))
        for typed in ("Mars/Olympus", "Europe", "/etc/passwd", "..", "", "x" * 64, "UTC\x00"):
            answer = browser.post(address, form | {"time_zone": typed})
            assert answer.status_code == 200
            assert answer.context["adminform"].form.errors["time_zone"]
    mailing.refresh_from_db()
    assert mailing.time_zone == "Europe/Moscow"


ODD_ROWS = {
    "TOTAL_FORMS": ["", "x", "-1", "0", "2", "1001", "9" * 30],
    "INITIAL_FORMS": ["", "x", "-1", "0", "2", "9" * 30],
    "0-id": ["", "x", "0", "foreign", "9" * 30],
    "0-client": ["", "x", "0", "foreign", "9" * 30],
    "0-client_list": ["", "x", "0", "foreign", "9" * 30],
    "0-DELETE": ["", "on"],
    "1-client_list": ["own", "foreign", "9" * 30],
    "1-id": ["own", "x"],
}
MANY = ("1001", "9" * 30)
"""Rows that make a long page, or a large number: tried once each."""
COUNTS: tuple[dict[str, str], ...] = (
    {},
    {"TOTAL_FORMS": "2", "INITIAL_FORMS": "1"},
    {"TOTAL_FORMS": "2", "INITIAL_FORMS": "2"},
)


def test_a_crafted_row_of_memberships_is_no_error_of_ours_and_gives_nobody_anothers_list(browser, alice, bob):
    mine, theirs = factories.make_list(alice, 1), factories.make_list(bob, 1)
    client, rows = mine.clients.get(), {"own": mine.memberships.get(), "foreign": theirs.memberships.get()}
    address = page("change", Client, client.pk)
    form, faults = dict(filled(browser.get(address))), []
    browser.raise_request_exception = False
    for name, value in [(name, value) for name, values in ODD_ROWS.items() for value in values]:
        for also in COUNTS if value not in MANY else COUNTS[:1]:
            sent = form.copy()
            for field, odd in (also | {name: value}).items():
                row = rows.get(odd)
                real = {"id": row.pk, "client": row.client_id, "client_list": row.client_list_id} if row else {}
                sent[f"memberships-{field}"] = real.get(field[2:], odd)
            with transaction.atomic():
                answer = browser.post(address, sent)
                ours = not client.lists.exclude(owner=alice).exists() and theirs.clients.get().owner == bob
                transaction.set_rollback(True)
            if answer.status_code not in (200, 302) or not ours:
                faults.append((name, value, also, answer.status_code, ours))
    assert not faults


@pytest.mark.parametrize("model", [*OWN, *LEDGER], ids=lambda model: model.__name__)
def test_every_column_and_field_can_be_read_in_every_language(model):
    shown = site._registry[model]
    names = {*flatten(shown.list_display), *flatten(shown.readonly_fields), *flatten(shown.fields or ())}
    names |= set(flatten_fieldsets(shown.fieldsets or ()))
    fields = [field for field in model._meta.fields if field.name in names and field.name != "id"]
    assert [field.name for field in fields if not isinstance(field.verbose_name, Promise)] == []


def test_the_groups_are_called_as_people_call_them(browser, superuser):
    User.objects.filter(pk=superuser.pk).update(language="ru")
    form = browser.get(page("change", User, superuser.pk)).content.decode()
    assert ">менеджеры<" in form
    assert ">редакторы блога<" in form
