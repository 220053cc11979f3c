"""A content manager at work: the editor in a real browser, under the pages' strict policy."""

import re
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest
from django.contrib.auth.models import Group
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import is_fault
from vestnik.accounts.groups import CONTENT_MANAGERS
from vestnik.accounts.models import User
from vestnik.blog.models import Picture, Post


@pytest.fixture(scope="module", autouse=True)
def unsafe() -> Iterator[None]:
    """The browser's event loop is in this thread, where the tests ask the database."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        yield


@pytest.fixture
def desk(chromium: Browser, transactional_db: None, live_server: Any, client: Any, faults: list[str]) -> Iterator[Page]:
    """A page of somebody signed in who may write the blog."""
    connie = User.objects.create_user("connie@example.org", "a long password")
    connie.groups.add(Group.objects.get(name=CONTENT_MANAGERS))
    client.force_login(connie)
    context = chromium.new_context(base_url=live_server.url, locale="en-GB", timezone_id="UTC")
    context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}])
    context.set_default_timeout(10_000)
    page = context.new_page()
    context.on("console", lambda message: faults.append(message.text) if is_fault(message) else None)
    context.on("weberror", lambda error: faults.append(str(error.error)))
    context.on("response", lambda answer: faults.append(answer.url) if answer.status >= 500 else None)
    yield page
    context.close()


def picture(colour: str = "teal", kind: str = "PNG") -> bytes:
    content = BytesIO()
    Image.new("RGB", (1200, 600), colour).save(content, kind)
    return content.getvalue()


def editor(page: Page) -> Locator:
    """The editor, once it has taken the textarea's place, which is a textbox of the same name."""
    return page.locator("[contenteditable=true][role=textbox][aria-label=Text]")


def press(page: Page, button: str) -> None:
    page.locator(".prose-menubar").get_by_role("button", name=button, exact=True).click()


def test_a_post_is_written_with_a_picture_published_and_read(desk: Page, faults: list[str]) -> None:
    page = desk
    page.goto("/overview/")
    page.get_by_role("button", name="Your account").click()
    page.get_by_role("link", name="Write the blog").click()
    page.get_by_role("link", name="Add post").first.click()
    page.get_by_label("Title").fill("Весенние новости")
    page.get_by_label("Title").blur()
    expect(page.get_by_label("Address", exact=False).first).to_have_value("vesennie-novosti")
    page.locator("input[name=picture]").set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": picture()})
    page.get_by_label("What the image shows").fill("A meadow")

    text = editor(page)
    text.click()
    press(page, "Heading")
    page.keyboard.type("Spring")
    page.keyboard.press("Enter")
    press(page, "Bold")
    page.keyboard.type("It is here.")
    page.keyboard.press("Enter")
    press(page, "Bold")
    press(page, "List")
    page.keyboard.type("one")
    page.keyboard.press("Enter")
    page.keyboard.type("two")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")

    press(page, "Picture")
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Put in").click()
    expect(dialog.get_by_role("alert")).to_have_text("Choose a file first.")
    chosen = dialog.get_by_label("File")
    chosen.set_input_files({"name": "a.jpg", "mimeType": "image/jpeg", "buffer": b"<svg onload=alert(1)>"})
    dialog.get_by_role("button", name="Put in").click()
    expect(dialog.get_by_role("alert")).to_contain_text("of type SVG")
    faults[:] = [fault for fault in faults if "400" not in fault]  # Chromium writes down each refusal
    chosen.set_input_files({"name": "a.jpg", "mimeType": "image/jpeg", "buffer": picture("coral", "JPEG")})
    dialog.get_by_label("What the picture shows").fill("A coral reef")
    dialog.get_by_label("Caption").fill("Seen from above")
    dialog.get_by_role("button", name="Put in").click()
    expect(text.get_by_role("img", name="A coral reef")).to_be_visible()
    expect(text.locator("figcaption")).to_have_text("Seen from above")

    with page.expect_popup() as popup:
        page.get_by_role("button", name="Preview").click()
    expect(popup.value.get_by_role("heading", name="Весенние новости")).to_be_visible()
    expect(popup.value.get_by_role("img", name="A coral reef")).to_be_visible()
    popup.value.close()
    assert not Post.objects.exists()

    page.get_by_label("Draft").uncheck()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("was added successfully")).to_be_visible()

    page.goto("/en/blog/vesennie-novosti/")
    expect(page.get_by_role("heading", name="Spring")).to_be_visible()
    expect(page.get_by_role("img", name="A meadow")).to_be_visible()
    reef = page.get_by_role("img", name="A coral reef")
    expect(reef).to_be_visible()
    reef.scroll_into_view_if_needed()
    page.wait_for_function("image => image.complete && image.naturalWidth > 0", arg=reef.element_handle())
    assert reef.evaluate("image => image.currentSrc").endswith(".webp")
    [coral, meadow] = Picture.objects.order_by("alt")
    assert Post.objects.get().content == (
        "<h2>Spring</h2><p><strong>It is here.</strong></p><ul><li><p>one</p></li><li><p>two</p></li></ul>"
        f'<figure><img src="{coral.address(1200)}" alt="A coral reef" width="1200" height="600">'
        "<figcaption>Seen from above</figcaption></figure>"
    )
    assert Post.objects.get().picture == meadow
    assert not faults


def test_what_a_post_has_is_in_the_editor_and_stays_as_it_is(desk: Page, faults: list[str]) -> None:
    picture = Picture.objects.create(key="0" * 32, width=480, height=240)
    content = (
        "<h2>a</h2><h4>b</h4><p>c <strong>d</strong> <em>e</em> <u>f</u> <s>g</s> <code>h</code>"
        " x<sub>1</sub> y<sup>2</sup>"
        ' <a href="https://example.org/" rel="noopener noreferrer">i</a><br>j</p><blockquote><p>k</p></blockquote>'
        '<ol start="3"><li><p>l</p><ul><li><p>m</p></li></ul></li></ol><pre><code>n &lt; o\np</code></pre><hr>'
        f'<figure><img src="{picture.address(480)}" alt="q" width="480" height="240">'
        "<figcaption>r</figcaption></figure>"
        '<table><tbody><tr><th colspan="2"><p>s</p></th></tr><tr><td><p>t</p></td>'
        "<td><p>u</p></td></tr></tbody></table><p>v</p>"
    )
    post = Post.objects.create(title="Hello", slug="hello", content=content)
    page = desk
    page.goto(f"/admin/blog/post/{post.pk}/change/")
    editor(page).get_by_text("v", exact=True).click()
    page.keyboard.press("End")
    page.keyboard.type("w")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("was changed successfully")).to_be_visible()

    post.refresh_from_db()
    assert post.content == content.replace("<p>v</p>", "<p>vw</p>")
    assert [fault for fault in faults if "404" not in fault] == []  # the picture has no files


def test_pasted_text_brings_no_scripts_styles_or_foreign_pictures_along(desk: Page, faults: list[str]) -> None:
    page = desk
    page.goto("/admin/blog/post/add/")
    text = editor(page)
    text.click()
    pasted = (
        '<h2 style="color: red" onclick="x()">A</h2><script>x()</script><p>b<img src="https://evil.example/a.png"></p>'
        '<p><img src="x" onerror="x()">c</p>'
    )
    text.evaluate(
        """(element, html) => {
            const data = new DataTransfer();
            data.setData("text/html", html);
            element.dispatchEvent(new ClipboardEvent("paste", {clipboardData: data, bubbles: true, cancelable: true}));
        }""",
        pasted,
    )
    expect(text.get_by_role("heading", name="A")).to_be_visible()
    assert text.locator("img:not(.ProseMirror-separator)").count() == 0
    written = page.locator("textarea[name=content]").input_value()
    assert re.sub(r"</?(h2|p)>", "", written) == "Abc"
    assert not [fault for fault in faults if "style" not in fault], faults


def test_without_javascript_the_text_is_typed_as_html(chromium: Browser, desk: Page, live_server: Any) -> None:
    plain = chromium.new_context(
        base_url=live_server.url, java_script_enabled=False, storage_state=desk.context.storage_state()
    )
    page = plain.new_page()
    page.goto("/admin/blog/post/add/")
    page.get_by_label("Title").fill("Hello")
    page.locator("input[name=slug]").fill("hello")
    page.locator("textarea[name=content]").fill("<p>Typed <em>by hand</em>.</p>")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("was added successfully")).to_be_visible()
    assert Post.objects.get().content == "<p>Typed <em>by hand</em>.</p>"
    plain.close()
