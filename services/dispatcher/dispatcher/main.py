"""What the Dramatiq workers and the scheduler load: Django, set up, and the actors."""

import os
import sys

import django
import dramatiq
from django.core.exceptions import ImproperlyConfigured

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dispatcher.settings")
try:
    django.setup()
    from vestnik import metrics  # noqa: F401  # before anything is counted
except ImproperlyConfigured as error:
    sys.exit(f"Vestnik is misconfigured. {error}")

from dispatcher import account_mail, actors, engine, health, measuring, schedule

PART = os.environ.get("DISPATCHER_PART", "")
dramatiq.get_broker().add_middleware(health.HeartbeatMiddleware(PART))
dramatiq.get_broker().add_middleware(measuring.MetricsMiddleware())
dramatiq.get_broker().add_middleware(engine.EngineMiddleware())
dramatiq.get_broker().add_middleware(account_mail.AccountMailMiddleware())
if PART == "scheduler":
    health.note_scheduler()

__all__ = ["actors", "schedule"]
