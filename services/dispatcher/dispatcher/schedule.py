"""The crons."""

import periodiq
from django.conf import settings

from dispatcher import actors

actors.tick.options["periodic"] = periodiq.cron(settings.TICK_CRON)
actors.flush_views.options["periodic"] = periodiq.cron("* * * * *")
