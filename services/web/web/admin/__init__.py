"""The admin site's pages: for superusers, over the core's verbs; the ledger can only be looked at."""

from django.contrib import admin
from django_dramatiq.models import Task

from web.admin import accounts, clients, ledger, mailings

__all__ = ["accounts", "clients", "ledger", "mailings"]

if admin.site.is_registered(Task):
    admin.site.unregister(Task)  # jobs are hints and are not recorded
