"""Whoever has lost the .env of an installation must not run it as a trial, whose letters go nowhere and count as sent.

Every start begins with `migrate`: in real use that is recorded in the database, and a trial refuses a database where it
is. In containers first_start.py has looked at the volumes by then; this is for a database that another start finds by
its URL.
"""

from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from vestnik import mode
from vestnik.installation.models import RealUse

REFUSAL = (
    "MODE: this database belongs to an installation in real use, and cannot be opened with MODE={mode}: its letters"
    " would go to an inbox and count as sent. Start it with its own .env, or name another database."
)


def note(using: str = "default", **_signal: Any) -> None:
    """Record real use, if this is such. Idempotent; called after every migrate."""
    if settings.MODE == mode.PRODUCTION:
        RealUse.objects.using(using).bulk_create([RealUse()], ignore_conflicts=True)


def refuse_a_trial(using: str = "default", **_signal: Any) -> None:
    """Raise ImproperlyConfigured where real use is recorded and this is a trial. Called before every migrate."""
    if settings.MODE == mode.PRODUCTION:
        return
    if RealUse._meta.db_table not in connections[using].introspection.table_names():
        return  # it was made by a version that noted nothing, or is empty
    if RealUse.objects.using(using).exists():
        raise ImproperlyConfigured(REFUSAL.format(mode=settings.MODE))
