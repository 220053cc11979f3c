"""The web service's settings: the common ones, and what pages need."""

from vestnik.settings import *  # noqa: F403
from vestnik.settings import INSTALLED_APPS, REDIS_URL, read

INSTALLED_APPS = [
    "web.admin_config.VestnikAdminConfig",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    *INSTALLED_APPS,
    "web",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "web.urls"
WSGI_APPLICATION = "web.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

STATIC_URL = "static/"
WHITENOISE_USE_FINDERS = True  # what nginx does not serve comes from where it was installed

X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = bool(read("bool", "COOKIES_OVER_HTTPS_ONLY", False))
CSRF_TRUSTED_ORIGINS: list[str] = read("list", "TRUSTED_ORIGINS", [])

# A lost hint is found by the tick; a page that waits for Redis is not found by its reader.
_TIMEOUTS = f"socket_connect_timeout={ENQUEUE_TIMEOUT_SECONDS}&socket_timeout={ENQUEUE_TIMEOUT_SECONDS}"  # noqa: F405
DRAMATIQ_BROKER = {
    "BROKER": "dramatiq.brokers.redis.RedisBroker",
    "OPTIONS": {"url": f"{REDIS_URL}{'&' if '?' in REDIS_URL else '?'}{_TIMEOUTS}", "namespace": "vestnik"},
    "MIDDLEWARE": [],
}
