"""The blog's pages of the admin site: for those who write it, over its verbs."""

import json
from datetime import timedelta
from io import BytesIO

import pytest
from django.contrib.admin import site
from django.contrib.auth.models import Group
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ValidationError
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone, translation
from PIL import Image
from pytest_django.asserts import assertRedirects

from vestnik.accounts.groups import CONTENT_MANAGERS
from vestnik.accounts.models import User
from vestnik.blog import images, verbs
from vestnik.blog.models import Picture, Post, file_name
from web.admin.base import _refused
from web.admin.blog_forms import PostForm

DAY = timedelta(days=1)


@pytest.fixture
def connie(db):
    """Writes the blog."""
    user = User.objects.create_user("connie@example.org", "a long password", last_seen_at=timezone.now())
    user.groups.add(Group.objects.get(name=CONTENT_MANAGERS))
    return user


@pytest.fixture
def browser(client, connie):
    client.force_login(connie)
    return client


def page(name, model=Post, *args):
    return reverse(f"admin:blog_{model._meta.model_name}_{name}", args=args)


def drawing(width=64, height=48, kind="PNG", colour="teal", name="drawing.png"):
    content = BytesIO()
    Image.new("RGB", (width, height), colour).save(content, kind)
    return SimpleUploadedFile(name, content.getvalue())


def make_post(title="Hello", **fields):
    fields = {"slug": title.lower().replace(" ", "-"), "content": "<p>Text.</p>", "draft": False} | fields
    return verbs.save_post(Post(title=title, **fields))


def typed(**fields):
    """What the form of a post sends."""
    shown = {
        "title": "Spring news", "slug": "spring-news", "language": "en", "content": "<p>It is spring.</p>",
        "excerpt": "", "alt": "", "publish_at_0": "2026-01-02", "publish_at_1": "03:04:05", "draft": "on",
        "picture-kept": "",
    } | fields  # fmt: skip
    return {name: value for name, value in shown.items() if value is not None}


def errors(response, field):
    return " ".join(response.context["adminform"].form.errors.get(field, []))


def said(response):
    return [str(message) for message in response.context["messages"]]


# Who may


def test_a_content_manager_finds_the_blog_and_nothing_else(browser):
    index = browser.get("/admin/")
    assert [app["app_label"] for app in index.context["app_list"]] == ["blog"]
    for model in site._registry:
        path = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        assert browser.get(path).status_code == (200 if model._meta.app_label == "blog" else 403), path
    assert browser.get("/admin/accounts/").status_code == 404
    assert browser.get("/admin/login/?next=/admin/blog/").url == "/admin/"


def test_the_admin_site_does_not_tell_what_else_there_is(browser, alice):
    for kind in ContentType.objects.all():
        assert browser.get(f"/admin/r/{kind.pk}/{alice.pk}/").status_code == 404


def test_a_password_is_changed_where_everybody_changes_it(browser):
    assertRedirects(browser.get("/admin/password_change/"), reverse("account_change_password"))


def test_a_content_manager_is_led_to_the_blog(browser, client, alice):
    link = f'href="{page("changelist")}"'
    seen = browser.get("/overview/").content.decode()
    assert link in seen[seen.index('id="navigation"') :], "in sight, not in a menu"
    client.force_login(alice)
    assert link not in client.get("/profile/").content.decode()


@pytest.mark.parametrize(("change", "refused"), [({"is_active": False}, 403), ({"confirmed_at": None}, 302)])
def test_a_blocked_or_unconfirmed_content_manager_does_not_get_in(browser, connie, change, refused):
    User.objects.filter(pk=connie.pk).update(**change)
    assert browser.get(page("changelist")).status_code == 302
    assert browser.post(page("upload", Picture), {"file": drawing()}).status_code == refused
    assert not Picture.objects.exists()


def test_who_is_no_content_manager_any_more_is_out_at_once(browser, connie):
    assert browser.get(page("changelist")).status_code == 200
    connie.groups.clear()
    assert browser.get(page("changelist")).status_code == 302


def test_nobody_else_changes_the_blog(client, alice, maria):
    post = make_post()
    for person in (alice, maria):
        client.force_login(person)
        for path in (
            page("changelist"), page("add"), page("change", Post, post.pk), page("delete", Post, post.pk),
            page("preview", Post, post.pk), page("preview_new"), page("upload", Picture), page("add", Picture),
        ):  # fmt: skip
            assert client.get(path).status_code == 302
            assert client.post(path, typed()).status_code == 302
    assert Post.objects.count() == 1


def test_staff_without_the_right_does_not_change_the_blog(client, maria):
    User.objects.filter(pk=maria.pk).update(is_staff=True)
    client.force_login(maria)
    post = make_post()
    for path in (page("changelist"), page("preview", Post, post.pk)):
        assert client.get(path).status_code == 403
    assert client.post(page("upload", Picture), {"file": drawing()}).status_code == 403


# The list


def test_an_empty_blog_has_its_pages(browser):
    for model in (Post, Picture):
        for name in ("changelist", "add"):
            assert browser.get(page(name, model)).status_code == 200


def test_the_list_tells_what_is_published_what_waits_and_what_is_a_draft(browser):
    make_post("Published", publish_at=timezone.now() - DAY)
    make_post("Waiting", publish_at=timezone.now() + DAY)
    make_post("Draft", draft=True)

    def found(**query):
        return [post.title for post in browser.get(page("changelist"), query).context["cl"].result_list]

    assert found() == ["Draft", "Waiting", "Published"]
    for state in ("draft", "waiting", "published"):
        assert found(state=state) == [state.capitalize()]
    assert found(state="x") == found()
    assert found(language="ru") == []
    assert found(q="WAIT") == ["Waiting"]
    content = browser.get(page("changelist")).content.decode()
    assert "waiting until" in content


def test_a_page_of_many_asks_no_more_than_a_page_of_one(browser):
    def fill(number):
        for _ in range(number):
            count = Post.objects.count()
            picture = images.store(drawing(100 + count))
            own = f'<p>a<img src="{picture.address(picture.width)}"></p>'
            make_post(f"Post {count}", picture=picture, content=own, publish_at=timezone.now() - DAY)

    def asked():
        counts = []
        for model in (Post, Picture):
            with CaptureQueriesContext(connection) as queries:
                assert browser.get(page("changelist", model)).status_code == 200
            counts.append(len(queries))
        return counts

    fill(1)
    asked()
    of_one = asked()
    fill(19)
    assert asked() == of_one
    assert max(of_one) <= 12


def test_actions_publish_posts_and_make_drafts_of_them(browser):
    posts = [make_post(title, draft=draft) for title, draft in (("One", True), ("Two", True), ("Three", False))]

    def act(action):
        chosen = {"action": action, "_selected_action": [post.pk for post in posts]}
        return said(browser.post(page("changelist"), chosen, follow=True))

    assert act("publish") == ["2 posts are drafts no more."]
    assert not Post.objects.filter(draft=True).exists()
    assert act("unpublish") == ["3 posts are drafts again."]
    assert act("publish") == ["3 posts are drafts no more."]
    chosen = {"action": "delete_selected", "_selected_action": [post.pk for post in posts], "post": "yes"}
    browser.post(page("changelist"), chosen)
    assert not Post.objects.exists()


# Writing


def test_a_post_is_saved_with_its_image_clean_and_by_the_verb(browser):
    content = '<p onclick="x()">It is <b>spring</b>.</p><script>alert(1)</script>'
    sent = typed(content=content, picture=drawing(), alt="A meadow", draft=None)
    assert browser.post(page("add"), sent).status_code == 302
    post = Post.objects.get()
    assert post.content == "<p>It is <b>spring</b>.</p>"
    assert (post.slug, post.draft, post.publish_at.isoformat()) == ("spring-news", False, "2026-01-02T03:04:05+00:00")
    assert post.picture.alt == "A meadow"
    assert default_storage.exists(file_name(post.picture.key, 64, "webp"))


def test_saving_a_post_leaves_its_views_and_an_untouched_date_alone(browser):
    moment = timezone.now() - DAY
    post = make_post(publish_at=moment)
    form = browser.get(page("change", Post, post.pk)).context["adminform"].form
    shown = form["publish_at"].value()
    Post.objects.update(views=7)  # while the form is open
    when = {"publish_at_0": f"{shown:%Y-%m-%d}", "publish_at_1": f"{shown:%H:%M:%S}"}
    assert browser.post(page("change", Post, post.pk), typed(**when)).status_code == 302
    post.refresh_from_db()
    assert (post.title, post.views, post.publish_at) == ("Spring news", 7, moment)


def test_what_another_saved_meanwhile_is_not_written_over_unnoticed(browser):
    post = make_post()
    form = browser.get(page("change", Post, post.pk)).context["adminform"].form
    theirs = Post.objects.get()
    theirs.title = "Theirs"
    verbs.save_post(theirs)
    mine = typed(title="Mine", seen=form["seen"].value())
    for wrong in ({"slug": ""}, {}):
        response = browser.post(page("change", Post, post.pk), mine | wrong)
        assert "Somebody saved this while you were writing" in errors(response, "__all__")
        assert response.context["adminform"].form["title"].value() == "Mine"
        assert Post.objects.get().title == "Theirs"
    assert browser.post(reverse("admin:blog_post_preview", args=[post.pk]), mine).status_code == 200
    again = mine | {"seen": response.context["adminform"].form["seen"].value()}
    assert browser.post(page("change", Post, post.pk), again).status_code == 302
    assert Post.objects.get().title == "Mine"


def test_what_another_saves_at_the_same_moment_is_not_written_over_either(browser, monkeypatch):
    """The form has seen nothing yet when the verb does."""
    post = make_post()
    form = browser.get(page("change", Post, post.pk)).context["adminform"].form
    save = verbs.save_post

    def late(post, seen):
        monkeypatch.undo()
        theirs = Post.objects.get()
        theirs.title = "Theirs"
        save(theirs)
        return save(post, seen)

    monkeypatch.setattr(verbs, "save_post", late)
    mine = typed(title="Mine", seen=form["seen"].value())
    response = browser.post(page("change", Post, post.pk), mine)
    assert errors(response, "__all__").count("Somebody saved this") == 1
    assert response.context["adminform"].form["seen"].value() == Post.objects.get().updated_at.isoformat()
    assert response.context["adminform"].form["title"].value() == "Mine"


@pytest.mark.parametrize("seen", ["", "yesterday", "9" * 5000, "2026-01-01"])
def test_a_form_that_says_nothing_of_when_it_was_opened_hurts_nobody(browser, seen):
    post = make_post()
    assert browser.post(page("change", Post, post.pk), typed(seen=seen)).status_code in (200, 302)
    assert browser.post(page("add"), typed(slug="another", seen=seen)).status_code == 302


@pytest.mark.parametrize("year", ["9999", "0", "10000", "x"])
def test_years_that_calendars_do_not_have_show_no_posts_and_break_nothing(browser, year):
    make_post()
    assert browser.get(page("changelist"), {"publish_at__year": year}).status_code in (200, 302)


def test_a_slug_that_exists_is_said_beside_it(browser):
    make_post("Spring news")
    response = browser.post(page("add"), typed())
    assert errors(response, "slug") == "Another post has this address already."
    assert Post.objects.count() == 1


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("slug", "feed", "The blog itself has a page"),
        ("slug", "весна", "letters"),
        ("content", "<script>alert(1)</script>", "Nothing is left of the text"),
        ("content", "", "required"),
        ("content", "a" * 200_001, "at most 200000 characters"),
        ("content", f'<p><img src="/media/blog/{"0" * 32}/480.jpg"></p>', "kept here no more"),
        ("content", "a\0b", "ull characters"),
        ("excerpt", "a" * 501, "at most 500 characters"),
        ("title", "", "required"),
        ("language", "tlh", "not one of the available choices"),
        ("publish_at_0", "yesterday", "valid date"),
        ("publish_at_0", "0001-01-01", "A year from 1970 to 2099"),
        ("publish_at_0", "9999-12-31", "A year from 1970 to 2099"),
        ("alt", "a" * 301, "at most 300 characters"),
        ("picture-kept", "999999", "kept here no more"),
        ("picture-kept", "9" * 5000, "kept here no more"),
    ],
)
def test_what_is_wrong_with_a_post_is_said_beside_the_field(browser, field, value, sentence):
    response = browser.post(page("add"), typed(**{field: value}))
    assert response.status_code == 200
    assert sentence in errors(response, field.removesuffix("_0").removesuffix("-kept"))
    assert not Post.objects.exists()


def test_what_the_form_says_the_verb_does_not_say_again(db):
    """Somebody took the address meanwhile: the verb refused, and now the form sees it, too."""
    make_post("Spring news")
    refusal = ValidationError({"slug": "Another post has this address already.", "title": "Too dull."})
    form = _refused(PostForm, refusal)(typed())
    assert form.errors == {"slug": ["Another post has this address already."], "title": ["Too dull."]}


def test_a_new_post_is_in_the_language_of_who_writes_it(browser, connie):
    User.objects.filter(pk=connie.pk).update(language="ru")
    assert browser.get(page("add")).context["adminform"].form["language"].value() == "ru"


@pytest.mark.parametrize("chosen", ["abc", "9" * 5000, "1\0", ""])
def test_what_names_no_post_is_no_choice(browser, chosen):
    make_post()
    for action in ("publish", "delete_selected"):
        assert browser.post(page("changelist"), {"action": action, "_selected_action": chosen}).status_code == 400


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        (SimpleUploadedFile("drawing.png", b"<svg xmlns='http://www.w3.org/2000/svg'/>"), "of type SVG"),
        (SimpleUploadedFile("drawing.jpg", b"<?php system('x'); ?>"), "This is no picture"),
        (SimpleUploadedFile("drawing.jpg", b""), "The file is empty"),
        (drawing(kind="GIF", name="drawing.jpg"), "of type GIF"),
    ],
)
def test_a_bad_image_is_said_beside_it_and_all_else_stays(browser, file, sentence):
    file.seek(0)
    others = {"title": "Кот", "excerpt": "A cat", "alt": "Cat", "content": "<p>Meow</p>"}
    response = browser.post(page("add"), typed(picture=file, **others))
    assert sentence in errors(response, "picture")
    form = response.context["adminform"].form
    assert {name: form[name].value() for name in others} == others
    assert not Post.objects.exists()
    assert not Picture.objects.exists()


@pytest.mark.parametrize("wrong", [{"title": ""}, {"content": "<script></script>"}])
def test_an_image_that_was_uploaded_stays_while_something_else_is_mended(browser, wrong):
    response = browser.post(page("add"), typed(picture=drawing(), **wrong))
    picture = Picture.objects.get()
    assert f'name="picture-kept" value="{picture.pk}"' in response.content.decode()
    assert browser.post(page("add"), typed(**{"picture-kept": picture.pk})).status_code == 302
    assert Post.objects.get().picture == picture


def test_an_image_is_shown_kept_replaced_and_taken_out(browser):
    first = images.store(drawing())
    first.alt = "A meadow"
    verbs.save_picture(first)
    post = make_post(picture=first)
    address = page("change", Post, post.pk)
    content = browser.get(address).content.decode()
    assert first.address(64, "webp") in content
    assert 'value="A meadow"' in content

    def image(**fields):
        assert browser.post(address, typed(**fields)).status_code == 302
        post.refresh_from_db()
        return post.picture

    assert image(**{"picture-kept": first.pk}, alt="Flowers") == first
    first.refresh_from_db()
    assert first.alt == "Flowers"
    second = image(**{"picture-kept": first.pk}, picture=drawing(65), alt="Flowers")
    assert (second.width, second.alt) == (65, "Flowers")
    assert image(**{"picture-kept": second.pk, "picture-clear": "on"}) is None
    assert Picture.objects.count() == 2


def test_an_image_used_again_keeps_its_description(browser):
    picture = images.store(drawing())
    picture.alt = "A meadow"
    verbs.save_picture(picture)
    browser.post(page("add"), typed(picture=drawing()))
    assert Post.objects.get().picture == picture
    picture.refresh_from_db()
    assert picture.alt == "A meadow"


def test_the_editor_is_a_textarea_with_what_it_needs(browser, settings):
    response = browser.get(page("add"))
    content = response.content.decode()
    assert '<textarea name="content"' in content
    assert f'data-upload="{page("upload", Picture)}"' in content
    assert '<script src="/static/web/blog-editor.js" type="module"></script>' in content
    assert "unsafe" not in response["Content-Security-Policy"]
    words = json.loads(response.context["adminform"].form["content"].subwidgets[0].data["attrs"]["data-words"])
    assert words["bold"] == "Bold"


# Preview


def test_a_draft_is_previewed_by_those_who_write_and_by_nobody_else(browser, client, alice):
    post = make_post("Secret plans", draft=True)
    response = browser.get(page("preview", Post, post.pk))
    assert response.status_code == 200
    assert response.context["post"] == post
    assert response.context["preview"] is True
    assert "Secret plans" in response.content.decode()
    assert "no-store" in response["Cache-Control"]
    client.force_login(alice)
    assert client.get(page("preview", Post, post.pk)).status_code == 302
    assert browser.get(page("preview", Post, post.pk + 1)).status_code in (302, 404)


def test_what_was_typed_is_previewed_without_being_saved(browser):
    sent = typed(content="<p>Typed<script>alert(1)</script></p>", picture=drawing())
    for address in (page("preview_new"), page("preview", Post, make_post().pk)):
        response = browser.post(address, sent | {"picture": drawing()})
        content = response.content.decode()
        assert "Spring news" in content
        assert "<p>Typed</p>" in content
        assert "alert(1)" not in content
    assert [post.title for post in Post.objects.all()] == ["Hello"]
    assert browser.get(page("preview_new")).status_code == 404


def test_a_preview_of_what_is_not_finished_says_what_is_missing(browser):
    response = browser.post(page("preview_new"), typed(title="", picture=SimpleUploadedFile("a.jpg", b"x")))
    content = response.content.decode()
    assert "Title: This field is required." in content
    assert "This is no picture" in content


def test_only_what_is_published_can_be_viewed_on_the_site(browser):
    published, draft = make_post("One"), make_post("Two", draft=True)
    waiting = make_post("Three", publish_at=timezone.now() + DAY)
    assert f'href="{published.get_absolute_url()}"' in browser.get(page("change", Post, published.pk)).content.decode()
    for post in (draft, waiting):
        assert post.get_absolute_url() not in browser.get(page("change", Post, post.pk)).content.decode()


# Pictures


def test_a_picture_is_uploaded_into_a_text(browser):
    answer = browser.post(page("upload", Picture), {"file": drawing(2000, 1000), "alt": "A meadow"})
    picture = Picture.objects.get()
    assert answer.json() == {
        "src": picture.address(1600), "alt": "A meadow", "width": 1600, "height": 800,
    }  # fmt: skip
    assert picture.alt == "A meadow"
    again = browser.post(page("upload", Picture), {"file": drawing(2000, 1000), "alt": "Another"})
    assert (again.json()["alt"], Picture.objects.get().alt) == ("Another", "A meadow")


def test_what_is_no_picture_is_not_put_into_a_text(browser):
    answer = browser.post(page("upload", Picture), {"file": SimpleUploadedFile("a.png", b"<svg/>")})
    assert answer.status_code == 400
    assert "of type SVG" in answer.json()["error"]
    assert browser.post(page("upload", Picture)).json() == {"error": "Choose a file first."}
    assert browser.get(page("upload", Picture)).status_code == 405


def test_an_upload_from_another_site_is_refused(connie, client):
    from django.test import Client

    strict = Client(enforce_csrf_checks=True)
    strict.force_login(connie)
    assert strict.post(page("upload", Picture), {"file": drawing()}).status_code == 403
    assert not Picture.objects.exists()


def test_pictures_are_added_described_and_say_where_they_are_shown(browser):
    assert browser.post(page("add", Picture), {"file": drawing(), "alt": "A meadow"}).status_code == 302
    picture = Picture.objects.get()
    make_post("In its text", content=f'<p>a<img src="{picture.address(64)}"></p>')
    make_post("As its image", picture=picture)
    listed = browser.get(page("changelist", Picture)).content.decode()
    assert all(title in listed for title in ("A meadow", ">In its text</a>, ", ">As its image</a>", "64\xa0×\xa048"))
    assert browser.post(page("change", Picture, picture.pk), {"alt": "Flowers"}).status_code == 302
    picture.refresh_from_db()
    assert picture.alt == "Flowers"
    assert "In its text" in browser.get(page("change", Picture, picture.pk)).content.decode()
    images.store(drawing(65))

    def found(used):
        response = browser.get(page("changelist", Picture), {"used": used})
        return [picture.width for picture in response.context["cl"].result_list]

    assert (found("yes"), found("no"), found("x")) == ([64], [65], [65, 64])


def test_adding_a_picture_that_is_there_already_shows_it(browser):
    for _ in range(2):
        assert browser.post(page("add", Picture), {"file": drawing(), "alt": "A meadow"}).status_code == 302
    assert browser.post(page("add", Picture), {"file": drawing(), "alt": ""}).status_code == 302
    assert Picture.objects.get().alt == "A meadow"
    response = browser.post(page("add", Picture), {"file": SimpleUploadedFile("a.jpg", b"x"), "alt": ""})
    assert "This is no picture" in errors(response, "file")
    assert "required" in errors(browser.post(page("add", Picture), {"alt": "x"}), "file")


def test_a_picture_that_a_post_shows_is_not_deleted_and_the_page_says_why(browser):
    picture = images.store(drawing())
    make_post("Spring news", picture=picture)
    chosen = {"action": "delete_selected", "_selected_action": [picture.pk], "post": "yes"}
    for path, sent in ((page("delete", Picture, picture.pk), {"post": "yes"}), (page("changelist", Picture), chosen)):
        assert said(browser.post(path, sent, follow=True)) == ["A post shows this picture: “Spring news”."]
    Post.objects.all().delete()
    browser.post(page("changelist", Picture), chosen)
    assert not Picture.objects.exists()


def test_the_pages_speak_russian_to_russians(browser, connie):
    User.objects.filter(pk=connie.pk).update(language="ru")
    response = browser.get(page("changelist"))
    assert response["Content-Language"] == "ru"
    with translation.override("ru"):
        assert str(translation.gettext("Search")) in response.content.decode()


def test_who_was_signed_out_while_writing_is_told_so_and_not_sent_away(browser):
    browser.logout()
    answer = browser.post(page("add"), {"title": "Written for hours"})
    assert answer.status_code == 403
    assert "what you typed is still in your browser" in answer.content.decode()
