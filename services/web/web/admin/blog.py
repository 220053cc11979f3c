"""The blog: posts and their pictures, for those who write it. They see nothing else of the admin site."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.postgres.expressions import ArraySubquery
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Case, Exists, OuterRef, Q, QuerySet, Value, When
from django.db.models.functions import Concat, JSONObject, Now
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.shortcuts import render
from django.template.defaultfilters import date
from django.urls import path
from django.utils.html import format_html, format_html_join
from django.utils.timezone import localtime
from django.utils.translation import get_language, gettext, ngettext
from django.utils.translation import gettext_lazy as _

from vestnik import access, clock
from vestnik.blog import html, images, verbs
from vestnik.blog.models import Picture, Post
from web.admin.base import VerbAdmin, link
from web.admin.blog_forms import NewPictureForm, PostForm, thumbnail

STATES = {"draft": _("draft"), "waiting": _("waiting"), "published": _("published")}
STATE = Case(When(draft=True, then=Value("draft")), When(publish_at__gt=Now(), then=Value("waiting")),
             default=Value("published"))  # fmt: skip

USED_IN = 5
"""Posts that the list of pictures names."""


class BlogAdmin(VerbAdmin):
    """For those who may write the blog, and for nobody by other permissions."""

    class Media:
        css = {"all": ["web/blog-admin.css"]}

    def _has(self, request: HttpRequest) -> bool:
        return access.may_write_blog(request.user)


class ByState(admin.SimpleListFilter):
    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return list(STATES.items())

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(state=self.value()) if self.value() in STATES else queryset


@admin.register(Post)
class PostAdmin(BlogAdmin):
    form = PostForm
    fieldsets = (
        (None, {"fields": ("title", "slug", "language", "seen")}),
        (_("Image"), {"fields": ("picture", "alt")}),
        (_("Text"), {"fields": ("content", "excerpt")}),
        (_("Publication"), {"fields": ("draft", "publish_at")}),
    )
    facts = (_("So far"), {"fields": ("state", "views", "created_at", "updated_at")})
    prepopulated_fields = {"slug": ("title",)}
    list_display = ("thumbnail", "title", "language", "state", "publish_at", "views")
    list_display_links = ("thumbnail", "title")
    list_select_related = ("picture",)
    list_filter = (ByState, "language", "publish_at")
    date_hierarchy = "publish_at"
    search_fields = ("title", "slug", "excerpt", "content")
    search_help_text = _("Words of the title or of the text.")
    ordering = ("-publish_at", "-pk")
    actions = ("publish", "unpublish")

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).annotate(state=STATE)

    def get_changeform_initial_data(self, request: HttpRequest) -> Any:
        return {"language": get_language()} | super().get_changeform_initial_data(request)

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        try:
            found = super().get_changelist_instance(request)
        except (ValueError, OverflowError) as error:  # Django's hierarchy of dates counts to the year after
            raise IncorrectLookupParameters from error
        found.result_list = found.result_list.defer("content", "excerpt")
        return found

    def get_fieldsets(self, request: HttpRequest, obj: Post | None = None) -> Any:
        return self.fieldsets if obj is None else (*self.fieldsets, self.facts)

    def get_readonly_fields(self, request: HttpRequest, obj: Post | None = None) -> Any:
        return () if obj is None else self.facts[1]["fields"]

    def get_urls(self) -> list[Any]:
        preview = self.admin_site.admin_view(self.preview_view)
        return [
            path("add/preview/", preview, name="blog_post_preview_new"),
            path("<int:pk>/preview/", preview, name="blog_post_preview"),
            *super().get_urls(),
        ]

    def save_model(self, request: HttpRequest, obj: Post, form: Any, change: bool) -> None:
        if obj.picture and form.described():
            verbs.save_picture(obj.picture)
        verbs.save_post(obj, form.cleaned_data["seen"])

    def delete_model(self, request: HttpRequest, obj: Post) -> None:
        verbs.delete_posts([obj])

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        verbs.delete_posts(queryset)

    def view_on_site(self, obj: Post) -> str | None:
        return obj.get_absolute_url() if obj.is_published(clock.now()) else None

    @admin.display(description=_("image"))
    def thumbnail(self, post: Post) -> str:
        return thumbnail(post.picture) if post.picture else "–"

    @admin.display(description=_("state"), ordering="state")
    def state(self, post: Any) -> str:
        label: Any = STATES[post.state]
        if post.state == "waiting":
            label = gettext("waiting until %(moment)s") % {
                "moment": date(localtime(post.publish_at), "SHORT_DATETIME_FORMAT")
            }
        return format_html('<span class="blog-state blog-{}">{}</span>', post.state, label)

    @admin.action(description=_("Publish"), permissions=["change"])
    def publish(self, request: HttpRequest, queryset: QuerySet[Post]) -> None:
        done = verbs.publish(queryset)
        self.message_user(
            request,
            ngettext("%(n)d post is a draft no more.", "%(n)d posts are drafts no more.", done) % {"n": done},
            messages.SUCCESS if done else messages.INFO,
        )

    @admin.action(description=_("Make a draft again"), permissions=["change"])
    def unpublish(self, request: HttpRequest, queryset: QuerySet[Post]) -> None:
        done = verbs.unpublish(queryset)
        self.message_user(
            request,
            ngettext("%(n)d post is a draft again.", "%(n)d posts are drafts again.", done) % {"n": done},
            messages.SUCCESS if done else messages.INFO,
        )

    def preview_view(self, request: HttpRequest, pk: int | None = None) -> HttpResponse:
        """Show the post as it will be read: as it is saved, or (by POST) as the form has it at the moment."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        post = Post() if pk is None else self.get_object(request, str(pk))
        if post is None or (pk is None and request.method != "POST"):
            raise Http404
        if request.method == "POST":
            of_post = self.get_form(request, post if pk else None, change=bool(pk))
            typed = request.POST.copy()
            typed.pop("seen", None)  # what another saved meanwhile hinders nobody from looking
            form = of_post(typed, request.FILES, instance=post)
            if not form.is_valid():
                context = self.admin_site.each_context(request) | {"title": _("Preview"), "form": form}
                return render(request, "admin/blog/post/no_preview.html", context)
            form.described()
            content = html.clean(post.content)
            post.content = html.with_sizes(content, Picture.objects.in_bulk(html.pictures(content), field_name="key"))
        return render(request, "blog/post.html", {"post": post, "preview": True})


class ByUse(admin.SimpleListFilter):
    title = _("use")
    parameter_name = "used"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("yes", _("shown by a post")), ("no", _("shown nowhere"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        shown = Exists(_shown_by_outer())
        return {"yes": queryset.filter(shown), "no": queryset.filter(~shown)}.get(self.value() or "", queryset)


@admin.register(Picture)
class PictureAdmin(BlogAdmin):
    fields = ("preview", "alt", "size", "used", "created_at")
    list_display = ("thumbnail", "alt_or_none", "size", "used", "created_at")
    list_display_links = ("thumbnail", "alt_or_none")
    list_filter = (ByUse, "created_at")
    search_fields = ("alt",)
    ordering = ("-pk",)

    def get_queryset(self, request: HttpRequest) -> Any:
        posts = _shown_by_outer().order_by("pk").values(post=JSONObject(pk="pk", title="title"))
        return super().get_queryset(request).annotate(shown=ArraySubquery(posts[: USED_IN + 1]))

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        return super().get_form(request, obj, change=change, **(kwargs if obj else {"form": NewPictureForm, **kwargs}))

    def get_fields(self, request: HttpRequest, obj: Picture | None = None) -> Any:
        return ("file", "alt") if obj is None else self.fields

    def get_readonly_fields(self, request: HttpRequest, obj: Picture | None = None) -> Any:
        return () if obj is None else ("preview", "size", "used", "created_at")

    def get_urls(self) -> list[Any]:
        upload = self.admin_site.admin_view(self.upload_view)
        return [path("upload/", upload, name="blog_picture_upload"), *super().get_urls()]

    def save_model(self, request: HttpRequest, obj: Picture, form: Any, change: bool) -> None:
        verbs.save_picture(obj)

    def delete_model(self, request: HttpRequest, obj: Picture) -> None:
        verbs.delete_pictures([obj])

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        verbs.delete_pictures(queryset)

    @admin.display(description=_("picture"))
    def thumbnail(self, picture: Picture) -> str:
        return thumbnail(picture)

    @admin.display(description=_("picture"))
    def preview(self, picture: Picture) -> str:
        return format_html('<a href="{}">{}</a>', picture.address(picture.width), thumbnail(picture))

    @admin.display(description=_("description"), ordering="alt")
    def alt_or_none(self, picture: Picture) -> str:
        return str(picture.alt or gettext("without a description"))

    @admin.display(description=_("size"), ordering="width")
    def size(self, picture: Picture) -> str:
        return f"{picture.width}\N{NO-BREAK SPACE}×\N{NO-BREAK SPACE}{picture.height}"

    @admin.display(description=_("shown by"))
    def used(self, picture: Any) -> str:
        links = [link(post["title"], "change", Post, post["pk"]) for post in picture.shown[:USED_IN]]
        more = ["…"] if len(picture.shown) > USED_IN else []
        return format_html_join(", ", "{}", ((each,) for each in links + more)) or "–"

    def upload_view(self, request: HttpRequest) -> HttpResponse:
        """Take a picture for a text: `file`, and `alt`. Answers in JSON with its address, or with what is wrong."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.has_add_permission(request):
            raise PermissionDenied
        file: Any = request.FILES.get("file")
        if file is None:
            return JsonResponse({"error": gettext("Choose a file first.")}, status=400)
        alt = request.POST.get("alt", "").strip()
        try:
            picture = images.store(file)
            if alt and not picture.alt:
                picture.alt = alt
                verbs.save_picture(picture)
        except ValidationError as refusal:
            return JsonResponse({"error": " ".join(refusal.messages)}, status=400)
        address = picture.address(picture.width)
        return JsonResponse(
            {"src": address, "alt": alt or picture.alt, "width": picture.width, "height": picture.height}
        )


def _shown_by_outer() -> QuerySet[Post]:
    """Return the posts that show the picture of the query around."""
    in_text = Q(content__contains=Concat(Value("/blog/"), OuterRef("key"), Value("/")))
    return Post.objects.filter(Q(picture=OuterRef("pk")) | in_text)
