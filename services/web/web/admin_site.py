"""The admin site, under Vestnik's own name."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _


class VestnikAdminSite(admin.AdminSite):
    site_title = _("Vestnik")
    site_header = _("Vestnik administration")
    index_title = _("Everything")
