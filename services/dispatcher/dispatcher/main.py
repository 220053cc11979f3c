"""What the Dramatiq workers and the scheduler load: Django, set up, and the actors."""

import logging
import os
import sys

import django
import dramatiq
from django.core.exceptions import ImproperlyConfigured

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dispatcher.settings")
try:
    django.setup()
    import vestnik.metrics  # noqa: F401  # before anything is counted
except ImproperlyConfigured as error:
    sys.exit(f"Vestnik is misconfigured. {error}")

from django.conf import settings

from dispatcher import actors, health, metrics
from dispatcher.account_mail import job as account_mail
from dispatcher.providers import url
from dispatcher.queue import schedule
from dispatcher.sending import engine
from vestnik import mode

PART = os.environ.get("DISPATCHER_PART", "")
dramatiq.get_broker().add_middleware(health.HeartbeatMiddleware(PART))
dramatiq.get_broker().add_middleware(metrics.MetricsMiddleware())
dramatiq.get_broker().add_middleware(engine.EngineMiddleware())
dramatiq.get_broker().add_middleware(account_mail.AccountMailMiddleware())
if PART == "scheduler":  # of which an installation has one
    health.note_scheduler()
    if settings.MODE == mode.PRODUCTION and url.in_the_clear(settings.MAIL_SERVICE_URL):
        logging.getLogger(__name__).warning(
            "MAIL_SERVICE_URL: the password or token goes over the network in the clear;"
            " smtp+starttls://, smtps:// or https:// would encrypt it"
        )

__all__ = ["actors", "schedule"]
