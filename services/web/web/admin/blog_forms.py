"""Forms of the blog's admin pages: a picture is uploaded where it is chosen, a text is written in an editor."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, NamedTuple

from django import forms
from django.contrib.admin.widgets import AdminSplitDateTime
from django.core.exceptions import ValidationError
from django.templatetags.static import static
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext, pgettext
from django.utils.translation import gettext_lazy as _

from vestnik.blog import images
from vestnik.blog.models import Picture, Post
from web.admin.base import is_id
from web.forms import SeenForm

ACCEPTED = "image/jpeg,image/png,image/webp"


def thumbnail(picture: Picture) -> str:
    """Return the picture, small, as HTML."""
    width = picture.widths[0]
    return format_html(
        '<img class="blog-thumbnail" src="{}" alt="{}" width="{}" height="{}" loading="lazy">',
        picture.address(width, "webp"),
        picture.alt or gettext("without a description"),  # it is all there is in links of lists
        width,
        round(picture.height * width / picture.width),
    )


class Choice(NamedTuple):
    """What came from a picture's field: a file, or else the id of the picture shown there; whether to take it out."""

    upload: Any
    kept: str
    cleared: bool


class PictureInput(forms.FileInput):
    """Shows the picture there is, with a box to take it out; and remembers it while other fields are mended."""

    template_name = "admin/blog/picture_input.html"
    picture: Picture | None = None

    def value_from_datadict(self, data: Any, files: Any, name: str) -> Choice:
        return Choice(files.get(name), data.get(f"{name}-kept", ""), f"{name}-clear" in data)

    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        return False

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        shown = self.picture and thumbnail(self.picture)
        return super().get_context(name, None, attrs) | {"picture": self.picture, "thumbnail": shown}


class PictureField(forms.Field):
    """A file becomes a Picture (`images.store`); without one it stays the picture that there was, or none."""

    widget = PictureInput({"accept": ACCEPTED})

    def clean(self, value: Choice) -> Picture | None:
        kept = Picture.objects.filter(pk=value.kept).first() if is_id(value.kept) else None
        self.widget.picture = kept
        if value.upload is not None:
            kept = images.store(value.upload)
        elif value.cleared:
            kept = None
        elif value.kept and kept is None:
            raise ValidationError(gettext("This picture is kept here no more; choose another, or none."))
        self.widget.picture = kept
        if kept is None and self.required:
            raise ValidationError(self.error_messages["required"], code="required")
        return kept

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(data.upload is not None or data.cleared or data.kept != str(initial or ""))


class EditorInput(forms.Textarea):
    """A textarea with HTML that blog-editor.js makes an editor of, where JavaScript runs."""

    class Media:
        js = (forms.Script("web/blog-editor.js", type="module"),)
        css = {
            "all": [
                "django_prose_editor/material-icons.css",
                "django_prose_editor/editor.css",
                "django_prose_editor/overrides.css",
                "web/blog-editor.css",
            ]
        }

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        context["widget"]["attrs"] |= {
            "data-editor": static("django_prose_editor/editor.js"),
            "data-upload": reverse("admin:blog_picture_upload"),
            "data-accept": ACCEPTED,
            "data-words": json.dumps(_words()),
        }
        return context


class MomentInput(AdminSplitDateTime):
    """Django's own, with its words made labels of its two inputs."""

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context(name, value, attrs)
        for part, words in zip(context["widget"]["subwidgets"], ("date_label", "time_label"), strict=True):
            part["attrs"]["aria-label"] = context[words].rstrip(":")
        return context


class PostForm(SeenForm):
    picture = PictureField(
        label=_("Image"),
        required=False,
        help_text=_(
            "JPEG, PNG or WebP of up to 20 MB. It is shown above the text, in lists, and where others share the post."
        ),
    )
    alt = Picture._meta.get_field("alt").formfield(label=_("What the image shows"))

    class Meta:
        model = Post
        fields = ("title", "slug", "language", "picture", "excerpt", "content", "draft", "publish_at")
        field_classes = {"publish_at": forms.SplitDateTimeField}
        widgets = {"excerpt": forms.Textarea({"rows": 3}), "content": EditorInput, "publish_at": MomentInput}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if picture := self.instance.picture:
            self.fields["picture"].widget.picture = picture
            self.initial["alt"] = picture.alt

    def clean_publish_at(self) -> datetime | None:
        """Return the saved moment if it was not touched: the field shows whole seconds only."""
        typed: datetime | None = self.cleaned_data["publish_at"]
        before = self.instance.publish_at
        return before if before and before.replace(microsecond=0) == typed else typed

    def described(self) -> bool:
        """Write what was typed of the image to it; whether it was described otherwise before.

        An image that was chosen just now keeps its own words, if none were typed.
        """
        picture, alt = self.cleaned_data["picture"], self.cleaned_data["alt"]
        if picture is None or alt == picture.alt or not (alt or "picture" not in self.changed_data):
            return False
        picture.alt = alt
        return True


class NewPictureForm(forms.ModelForm):
    """The same file again is the same picture."""

    file = PictureField(label=_("File"), help_text=_("JPEG, PNG or WebP of up to 20 MB."))

    class Meta:
        model = Picture
        fields = ("file", "alt")

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if picture := cleaned.get("file"):
            self.instance = picture
            cleaned["alt"] = cleaned.get("alt") or picture.alt
        return cleaned


def _words() -> dict[str, str]:
    """Return the editor's texts in the page's language, by the editor's own English or by a name."""
    return {
        "heading 2": gettext("Heading"),
        "heading 3": gettext("Smaller heading"),
        "paragraph": gettext("Plain text"),
        "bold": gettext("Bold"),
        "italic": gettext("Italic"),
        "underline": gettext("Underlined"),
        "strike": gettext("Struck through"),
        "Code": gettext("Code"),
        "Code block": gettext("Block of code"),
        "insert link": gettext("Link"),
        "remove link": gettext("Remove the link"),
        "unordered list": gettext("List"),
        "ordered list": gettext("Numbered list"),
        "blockquote": gettext("Quote"),
        "horizontal rule": gettext("Line across"),
        "figure": gettext("Picture"),
        "undo": gettext("Undo"),
        "redo": gettext("Redo"),
        "URL": gettext("Address"),
        "Title": pgettext("of a link", "Title"),
        "Edit Link": gettext("Link"),
        "Update": gettext("Save"),
        "Cancel": pgettext("a dialog", "Cancel"),
        "Add caption": gettext("Add a caption"),
        "Remove caption": gettext("Remove the caption"),
        "insert picture": gettext("Put a picture in"),
        "change picture": gettext("The picture"),
        "file": gettext("File: JPEG, PNG or WebP of up to 20 MB"),
        "another file": gettext("Another file in its place"),
        "alt": gettext("What the picture shows, for those who do not see it"),
        "caption": gettext("Caption"),
        "insert": gettext("Put in"),
        "save": gettext("Save"),
        "uploading": gettext("Uploading…"),
        "failed": gettext("The picture was not uploaded. Are you still signed in, and is the network there?"),
        "too big": gettext("The file is too big: a picture may have at most 20 MB."),
        "no file": gettext("Choose a file first."),
    }
