"""The admin site, under Vestnik's own name."""

import functools
from typing import Any
from urllib.parse import urlencode

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.contrib.admin.options import TO_FIELD_VAR
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from vestnik import access
from web.responses import stale_form


class VestnikAdminSite(admin.AdminSite):
    site_title = _("Vestnik")
    site_header = _("Vestnik administration")
    index_title = _("Everything")

    def has_permission(self, request: HttpRequest) -> bool:
        """Say whether they are of the site's staff or write the blog: writers find it there, and nothing else."""
        if super().has_permission(request):
            return True
        return not request.user.is_superuser and access.may_write_blog(request.user)

    def login(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Send people to sign in where everybody does: under the same limits, and not before they are confirmed."""
        if self.has_permission(request):
            return HttpResponseRedirect(reverse("admin:index"))
        answer: HttpResponse = secure_admin_login(super().login)(request, extra_context)
        return answer

    def get_urls(self) -> list[Any]:
        """Leave out the address that leads from any object to its own page: no page links to it."""
        return [pattern for pattern in super().get_urls() if getattr(pattern, "name", "") != "view_on_site"]

    def password_change(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """Send people where everybody changes it: with a letter that tells of it."""
        return HttpResponseRedirect(reverse("account_change_password"))

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        """Wrap a view as all views of the site are.

        No text holds a NUL, and PostgreSQL refuses to look for one: it is left out of what is asked for; and so is the
        name of a field that is empty, which Django looks for. Who was signed out while they wrote is told so, and not
        sent to sign in.
        """

        @functools.wraps(view)
        def with_what_can_be_asked(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            if "%00" in request.META["QUERY_STRING"]:
                asked = [(name, value.replace("\0", "")) for name, values in request.GET.lists() for value in values]
                request.GET = QueryDict(urlencode(asked))
            if request.GET.get(TO_FIELD_VAR) == "":
                request.GET = _without(TO_FIELD_VAR, request.GET)
            if request.POST.get(TO_FIELD_VAR) == "":
                request.POST = _without(TO_FIELD_VAR, request.POST)
            return view(request, *args, **kwargs)

        guarded = super().admin_view(with_what_can_be_asked, cacheable)

        @functools.wraps(guarded)
        def not_in_vain(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            if request.method == "POST" and not request.user.is_authenticated:
                return stale_form(request)  # the browser still has what was written
            return guarded(request, *args, **kwargs)

        return not_in_vain


def _without(name: str, given: QueryDict) -> Any:
    left = given.copy()
    del left[name]
    return left
