"""The settings as mypy's Django plugin reads them: without an environment."""

import os

os.environ.update(
    MODE="local",
    SECRET_KEY="of mypy",
    DATABASE_URL="postgresql://localhost/nowhere",
    REDIS_URL="redis://localhost/0",
    MAIL_SERVICE_URL="smtp://localhost",
)

from dispatcher.settings import *
from web.settings import *
from web.settings import INSTALLED_APPS as WEB_APPS

INSTALLED_APPS = [*WEB_APPS, "dispatcher"]
