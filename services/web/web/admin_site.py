"""The admin site, under Vestnik's own name."""

import functools
from typing import Any
from urllib.parse import urlencode

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.http import HttpRequest, QueryDict
from django.utils.decorators import method_decorator
from django.utils.translation import gettext_lazy as _


class VestnikAdminSite(admin.AdminSite):
    site_title = _("Vestnik")
    site_header = _("Vestnik administration")
    index_title = _("Everything")

    # People sign in where everybody does: under the same limits, and not before they are confirmed.
    login = method_decorator(secure_admin_login)(admin.AdminSite.login)

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        """The view behind the site's door. No text holds a NUL, and PostgreSQL refuses to look for one: it is left out
        of what is asked for.
        """

        @functools.wraps(view)
        def without_nul(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            if "%00" in request.META["QUERY_STRING"]:
                asked = [(name, value.replace("\0", "")) for name, values in request.GET.lists() for value in values]
                request.GET = QueryDict(urlencode(asked))
            return view(request, *args, **kwargs)

        return super().admin_view(without_nul, cacheable)
