"""What the Dramatiq workers and the scheduler load: Django, set up, and the actors."""

import os
import sys

import django
import dramatiq
from django.core.exceptions import ImproperlyConfigured

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dispatcher.settings")
try:
    django.setup()
except ImproperlyConfigured as error:
    sys.exit(f"Vestnik is misconfigured. {error}")

from dispatcher import account_mail, actors, engine, schedule

dramatiq.get_broker().add_middleware(engine.EngineMiddleware())
dramatiq.get_broker().add_middleware(account_mail.AccountMailMiddleware())

__all__ = ["actors", "schedule"]
