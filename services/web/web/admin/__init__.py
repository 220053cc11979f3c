"""The admin site's pages over the core's verbs: for superusers, and the blog's for those who write it. The ledger can
only be looked at.
"""

from allauth.account.models import EmailAddress
from django.contrib import admin
from django_dramatiq.models import Task

from web.admin import accounts, blog, clients, ledger, mailings, suppressions

__all__ = ["accounts", "blog", "clients", "ledger", "mailings", "suppressions"]

# Jobs are hints and are not recorded; allauth's addresses are copies of what the user's page says.
for model in (Task, EmailAddress):
    if admin.site.is_registered(model):
        admin.site.unregister(model)
