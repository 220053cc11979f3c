"""Both services' settings at once, on the embedded servers that conftest.py started."""

from dispatcher.settings import *
from dispatcher.settings import DATABASES
from dispatcher.settings import PLANNING as OF_DISPATCHER
from web.settings import *
from web.settings import INSTALLED_APPS as WEB_APPS

# One connection for both: as the dispatcher's is, whose statements are prepared.
DATABASES["default"]["OPTIONS"]["options"] = OF_DISPATCHER
INSTALLED_APPS = [*WEB_APPS, "dispatcher", "tests.flushing"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
WHITENOISE_AUTOREFRESH = True  # looked up when one is asked for: hundreds of test clients would each look for all
