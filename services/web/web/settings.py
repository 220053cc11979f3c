"""The web service's settings: the common ones, and what pages need."""

from pathlib import Path
from typing import Any

from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from vestnik import error_tracking, mode
from vestnik.settings import *  # noqa: F403
from vestnik.settings import ALLOWED_HOSTS, DATABASES, DEBUG, INSTALLED_APPS, LOCALE_PATHS, MODE, SITE_URL, read
from web.webhooks import providers as webhooks

# A page shows a few rows of what may be millions: it finds them by an index, and what belongs to them one by one. So it
# is told to PostgreSQL, for by statistics from before a large import it would read, sort or hash whole tables for it.
PLANNING = "-c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off"
_options = DATABASES["default"].setdefault("OPTIONS", {})
_options["options"] = f"{_options.get('options', '')} {PLANNING}".strip()

INSTALLED_APPS = [
    "web.admin_config.VestnikAdminConfig",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    *INSTALLED_APPS,
    "allauth",
    "allauth.account",
    "django_bootstrap5",
    "django_htmx",
    "django_prose_editor",
    "csp",
    "web",  # last: its admin takes off the site what others put there
]

MIDDLEWARE = [
    "web.health.middleware.HealthMiddleware",
    "web.request_metrics.ObservingMiddleware",
    "web.middleware.MethodsMiddleware",
    "web.middleware.EncodingMiddleware",
    "web.front.middleware.FrontMiddleware",
    "web.middleware.BrowserRulesMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "web.middleware.BoundedFieldsMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "web.middleware.ProfileMiddleware",
]

LOCALE_PATHS = [Path(__file__).parent / "locale", *LOCALE_PATHS]  # another app's words do not stand in for ours

FORMAT_MODULE_PATH = "web.formats"
ROOT_URLCONF = "web.urls"
WSGI_APPLICATION = "web.wsgi.application"

LOADERS: list[Any] = ["django.template.loaders.filesystem.Loader", "django.template.loaders.app_directories.Loader"]

CACHED: list[Any] = [("django.template.loaders.cached.Loader", LOADERS)]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [Path(__file__).parent / "templates"],  # before those of other apps, which some of them stand in for
        "OPTIONS": {
            "loaders": LOADERS if DEBUG else CACHED,
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "django.template.context_processors.i18n",
                "web.front.public.context",
            ],
            "builtins": ["django.templatetags.i18n", "django.templatetags.static", "web.templatetags.ui"],
        },
    },
]

# Pictures of the blog. All processes of the web share the folder, and nginx reads it.
MEDIA_ROOT = Path(read("str", "MEDIA_ROOT", "media")).resolve()
MEDIA_URL = "/media/"

# Where `collectstatic` puts what pages load, for nginx: under names with a hash, which may be kept for good, and packed
# beside. Where no folder is named, the web itself serves the files from where they were installed.
STATIC_URL = "/static/"
STATIC_ROOT: str | None = read("str", "STATIC_ROOT", None)
WHITENOISE_USE_FINDERS = not STATIC_ROOT
if STATIC_ROOT:
    STORAGES = {
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
        "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
    }

# Scripts and styles come from files of one's own; what is inline is not run, whoever wrote it.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    },
}
X_FRAME_OPTIONS = "DENY"
# Two texts of a million characters, as forms encode them; a thousand ticked boxes and more.
DATA_UPLOAD_MAX_MEMORY_SIZE = 20 << 20
DATA_UPLOAD_MAX_NUMBER_FIELDS = 10_000
CSRF_FAILURE_VIEW = "web.responses.stale_form"
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_HTTPONLY = True

# What only makes sense where people come over HTTPS follows from the address at which they find the installation.
OVER_HTTPS = SITE_URL.startswith("https://")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = bool(read("bool", "COOKIES_OVER_HTTPS_ONLY", OVER_HTTPS))
CSRF_TRUSTED_ORIGINS: list[str] = [SITE_URL, *read("list", "TRUSTED_ORIGINS", [])]
# Mail services that post to /webhooks/ what became of letters; how each proves who it is: web/webhooks/providers.py.
try:
    WEBHOOKS: dict[str, dict[str, str]] = webhooks.checked(read("json", "WEBHOOKS", {}))
except webhooks.WrongWebhooks as error:
    raise ImproperlyConfigured(f"WEBHOOKS: {error}") from None

# How long browsers come over HTTPS and no other way. By that this host is meant: what other names below it do is not
# ours to say, nor what a list that browsers are shipped with should hold.
HSTS_SECONDS: int = read("int", "HSTS_SECONDS", 31_536_000)
if HSTS_SECONDS < 0:
    raise ImproperlyConfigured("HSTS_SECONDS: a number of seconds is wanted, 0 or more.")
SECURE_HSTS_SECONDS = HSTS_SECONDS if OVER_HTTPS else 0
SILENCED_SYSTEM_CHECKS = [
    "security.W005",  # includeSubDomains
    "security.W008",  # SECURE_SSL_REDIRECT: who ends TLS does that; from there on, plain HTTP is meant
    "security.W021",  # preload
]
if MODE == mode.PRODUCTION:
    mode.require(
        ALLOWED_HOSTS=bool(ALLOWED_HOSTS) and not any("*" in host for host in ALLOWED_HOSTS),
        COOKIES_OVER_HTTPS_ONLY=SESSION_COOKIE_SECURE,
    )

# Signing up and in: allauth, by e-mail address alone. Which letter says what does not tell who is registered.
AUTHENTICATION_BACKENDS = ["web.accounts.backends.AddressBackend", "guardian.backends.ObjectPermissionBackend"]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "overview"
PASSWORD_RESET_TIMEOUT = 24 * 60 * 60
ACCOUNT_ADAPTER = "web.accounts.adapter.AccountAdapter"
ACCOUNT_FORMS = {
    "login": "web.accounts.forms.LoginForm",
    "signup": "web.accounts.forms.SignupForm",
    "add_email": "web.accounts.forms.AddEmailForm",
    "change_password": "web.accounts.forms.ChangePasswordForm",
    "set_password": "web.accounts.forms.SetPasswordForm",
    "reset_password": "web.accounts.forms.ResetPasswordForm",
    "reset_password_from_key": "web.accounts.forms.ResetPasswordKeyForm",
    "reauthenticate": "web.accounts.forms.ReauthenticateForm",
}
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_EMAIL_NOTIFICATIONS = True  # of a changed password or address
ACCOUNT_CHANGE_EMAIL = True
ACCOUNT_REAUTHENTICATION_REQUIRED = True  # for changing the address
ACCOUNT_EMAIL_CONFIRMATION_AUTHENTICATED_REDIRECT_URL = "profile"
ACCOUNT_LOGOUT_REDIRECT_URL = "home"
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_DEFAULT_HTTP_PROTOCOL = "https" if OVER_HTTPS else "http"
# By client ("ip") or by address ("key"); allauth's own defaults hold for what is not named here. Wrong passwords for an
# address are counted for each client by itself, or anybody could keep its owner out; from all clients together so many
# are let through that it takes a crowd to, and still too few to guess what a password has to be here.
ACCOUNT_RATE_LIMITS = {
    "login": "30/m/ip",
    "login_failed": "10/m/ip,5/5m/key",  # this key is the address and the client
    "login_failed_anywhere": "1000/h/key",
    "signup": "10/m/ip,60/h/ip",
    "reset_password": "10/m/ip,5/h/key",
    "resend": "10/m/ip,1/m/key,5/h/key",
}

# Clients are told apart, for limits, by what the last of so many proxies saw; a header from outside says nothing.
ALLAUTH_TRUSTED_PROXY_COUNT = read("int", "TRUSTED_PROXIES", 0)
if ALLAUTH_TRUSTED_PROXY_COUNT < 0:
    raise ImproperlyConfigured("TRUSTED_PROXIES: a number of proxies is wanted, 0 or more.")
# nginx says whether people came over HTTPS (nginx/templates/web.inc.template).
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if ALLAUTH_TRUSTED_PROXY_COUNT else None

# Where the letters of a trial or of `make run` are seen; pages that ask people to look into their mailbox lead there.
INBOX_URL: str | None = read("str", "INBOX_URL", "/inbox/" if MODE == mode.TRIAL else None)
if MODE == mode.PRODUCTION:
    INBOX_URL = None

MESSAGE_TAGS = {40: "danger"}  # Django's errors in Bootstrap's word
BOOTSTRAP5 = {
    "set_placeholder": False,
    "required_css_class": "required",
    "label_class": "form-label",
    "field_renderers": {"default": "web.form_renderer.FieldRenderer"},
}

error_tracking.watch("web")
