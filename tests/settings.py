"""Both services' settings at once, on the embedded servers that conftest.py started."""

from dispatcher.settings import *
from web.settings import *
from web.settings import INSTALLED_APPS as WEB_APPS

INSTALLED_APPS = [*WEB_APPS, "dispatcher"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
