"""The door of both services' manage.py: what is misconfigured is said in a sentence, not in a traceback."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured


def main(settings_module: str) -> None:
    """Run Django's command line; exit with 2 if the configuration is wrong."""
    os.environ["DJANGO_SETTINGS_MODULE"] = settings_module
    from django.conf import settings
    from django.core.management import execute_from_command_line

    try:
        settings.INSTALLED_APPS  # noqa: B018  (reads the settings, and so the environment)
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.stderr.write(f"Vestnik is misconfigured. {error}\n")
        sys.exit(2)
