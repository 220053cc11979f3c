"""What `python -m dispatcher bounces` loads: Django, set up, and the server."""

import os
import sys

import django
from django.core.exceptions import ImproperlyConfigured

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dispatcher.settings")
try:
    django.setup()
except ImproperlyConfigured as error:
    sys.exit(f"Vestnik is misconfigured. {error}")

from dispatcher.bounces.server import run

__all__ = ["run"]
