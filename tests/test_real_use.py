"""A database that was in real use is not opened as a trial, whatever led there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import connection

from tests.test_settings import IN_EARNEST
from vestnik.installation import real_use
from vestnik.installation.models import RealUse

ROOT = Path(__file__).parents[1]


def test_real_use_is_noted_once_and_a_trial_notes_nothing(db, settings):
    call_command("migrate", verbosity=0)
    assert not RealUse.objects.exists()
    settings.MODE = "production"
    call_command("migrate", verbosity=0)
    since = RealUse.objects.get().since
    call_command("migrate", verbosity=0)
    assert RealUse.objects.get().since == since


@pytest.mark.parametrize("mode", ["local", "trial"])
def test_what_was_in_real_use_is_refused_before_it_is_migrated(db, settings, mode):
    real_use.note()
    RealUse.objects.create()
    settings.MODE = mode
    with pytest.raises(ImproperlyConfigured, match=rf"^MODE: .* in real use.* MODE={mode}"):
        call_command("migrate", verbosity=0)
    settings.MODE = "production"
    call_command("migrate", verbosity=0)


def test_a_database_without_the_table_is_taken(db, settings):
    settings.MODE = "trial"
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {RealUse._meta.db_table} RENAME TO elsewhere")
    real_use.refuse_a_trial()


def test_the_command_says_it_in_one_sentence(transactional_db):
    RealUse.objects.create()
    url = os.environ["DATABASE_URL"].replace("/vestnik?", f"/{connection.settings_dict['NAME']}?")
    environment = {**os.environ, **IN_EARNEST, "MODE": "trial", "SITE_URL": "", "DATABASE_URL": url}
    command = [sys.executable, "services/web/manage.py", "migrate", "--no-input"]
    answer = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert answer.returncode == 2, answer.stderr
    assert answer.stderr.startswith(
        "Vestnik is misconfigured. MODE: this database belongs to an installation in real use"
    )
    assert answer.stderr.count("\n") == 1
