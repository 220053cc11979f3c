"""The environment is read once, loudly."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import starting

ROOT = Path(__file__).parents[1]


IN_EARNEST = {
    "MODE": "production",
    "SECRET_KEY": "q7Vn2-nobody-knows-this-one-8xKfL0dZrT5wYbHs_jA3-m6uPe9",
    "SITE_URL": "https://mail.example.org",
    "ALLOWED_HOSTS": "mail.example.org",
    "MAIL_FROM": "herald@example.org",
}


def check(service: str, *options: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in {**os.environ, **variables}.items() if value != "<unset>"}
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    return starting.python(f"services/{service}/manage.py", "check", *options, environment=environment)


@pytest.mark.parametrize(
    ("service", "name", "value"),
    [
        ("dispatcher", "EHLO_NAME", "mail"),
        ("dispatcher", "EXTRA_HEADERS", "X-A: b"),
        ("dispatcher", "EXTRA_HEADERS", '{"X-A": "b\\r\\nBcc: everybody@example.org"}'),
        ("dispatcher", "EXTRA_HEADERS", '{"From": "me@example.org"}'),
        ("dispatcher", "EHLO_NAME", "mail.example.org\r\nQUIT"),
        ("dispatcher", "EHLO_NAME", "почта.рф"),
        ("dispatcher", "LOGIN_BACKOFF", "0"),
        ("dispatcher", "LOGIN_BACKOFF", "soon"),
        ("dispatcher", "SSL_CERT_FILE", "/nowhere/at/all.pem"),
        ("dispatcher", "SSL_CERT_FILE", "/etc"),
        ("dispatcher", "SSL_CERT_FILE", "/etc/passwd"),
        ("dispatcher", "SSL_CERT_FILE", "/dev/null"),
        ("web", "SECRET_KEY", "<unset>"),
        ("web", "DEBUG", "yep"),
        ("web", "DATABASE_URL", "mysql://localhost/x"),
        ("web", "DATABASE_URL", "nonsense"),
        ("web", "REDIS_URL", "http://localhost"),
        ("web", "LOG_LEVEL", "LOUD"),
        ("web", "MODE", "earnest"),
        ("web", "HSTS_SECONDS", "-1"),
        ("web", "MAIL_FROM", "nobody"),
        ("web", "DNS_RESOLVER", "dns.example.org"),
        ("web", "DNS_RESOLVER", "192.0.2.1, 192.0.2.256"),
        ("web", "DNS_RESOLVER", "192.0.2.1:0"),
        ("dispatcher", "DNS_RESOLVER", "[2001:db8::1]:99999"),
        ("web", "TICK_CRON", "now and then"),
        ("web", "TICK_CRON", "61 * * * *"),
        ("web", "SITE_URL", "vestnik.example.org"),
        ("web", "SITE_URL", "https://example.org/vestnik"),
        ("web", "SITE_URL", "https://вестник..рф"),
        ("web", "ALLOWED_HOSTS", "вестник..рф"),
        ("dispatcher", "FRONT_URL", "nginx:8080"),
        ("web", "FRONT_SECRET", "too short"),
        ("web", "FRONT_SECRET", 'a "quoted" secret of enough'),
        ("dispatcher", "PROBE_BACKOFF", ","),
        ("dispatcher", "PROBE_BACKOFF", "1,-2"),
        ("dispatcher", "MAIL_SERVICE_URL", "<unset>"),
        ("dispatcher", "MAIL_SERVICE_URL", "smpt://localhost"),
        ("dispatcher", "MAIL_SERVICE_URL", "smtp://localhost:25?conections=3"),
        ("dispatcher", "MAIL_SERVICE_URL", "smtp://localhost:99999"),
        ("dispatcher", "MAX_ATTEMPTS", "many"),
        ("dispatcher", "MAX_ATTEMPTS", "0"),
        ("dispatcher", "RETRY_BASE_SECONDS", "-1"),
        ("dispatcher", "UNKNOWN_OUTCOMES", "maybe"),
    ],
)
def test_a_wrong_variable_stops_the_start_with_one_sentence_that_names_it(service, name, value):
    answer = check(service, **{name: value})
    assert answer.returncode == 2
    assert name in answer.stderr
    assert "Traceback" not in answer.stderr
    assert len(answer.stderr.strip().splitlines()) == 1


DANGEROUS = {
    "SECRET_KEY": (
        "<unset>",
        "short",
        "only for tests",
        "a long random text",
        "x" * 60,
        "django-insecure-q7Vn2-nobody-knows-this-one-8xKfL0dZrT5",
        "changeme-changeme-q7Vn2-nobody-knows",
    ),
    "SECRET_KEY_FALLBACKS": (
        "short",
        "q7Vn2-nobody-knows-this-one-8xKfL0dZrT5wYbHs,changeme-changeme-q7Vn2-nobody-knows",
    ),
    "SITE_URL": ("<unset>", "http://mail.example.org", "http://localhost:8080"),
    "DEBUG": ("true",),
    "MAIL_FROM": ("<unset>", "Vestnik@localhost.localdomain"),
    "ALLOWED_HOSTS": ("<unset>", "", "*", "mail.example.org,*", "*.example.org"),
    "COOKIES_OVER_HTTPS_ONLY": ("false",),
    "MAIL_SERVICE_URL": ("smtp://inbox:2525", "smtp://INBOX:2525?connections=5"),
}
ALONE = {"ALLOWED_HOSTS": "web", "COOKIES_OVER_HTTPS_ONLY": "web", "MAIL_SERVICE_URL": "dispatcher"}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in DANGEROUS.items() for value in values])
def test_in_earnest_the_start_refuses_what_would_be_dangerous(name: str, value: str) -> None:
    for service in [ALONE[name]] if name in ALONE else ["web", "dispatcher"]:
        answer = check(service, **IN_EARNEST | {name: value})
        assert answer.returncode == 2, answer.stdout
        assert name in answer.stderr
        assert len(answer.stderr.strip().splitlines()) == 1
        assert name != "SECRET_KEY" or value not in answer.stderr


def test_whoever_says_nothing_means_real_use() -> None:
    answer = check("web", **IN_EARNEST | {"MODE": "<unset>", "DEBUG": "true"})
    assert answer.returncode == 2
    assert "DEBUG" in answer.stderr


@pytest.mark.parametrize("mode", ["local", "trial"])
def test_a_trial_and_the_work_on_vestnik_need_none_of_it(mode: str) -> None:
    for service in ("web", "dispatcher"):
        answer = check(service, MODE=mode, DEBUG="true", ALLOWED_HOSTS="*", MAIL_FROM="<unset>")
        assert answer.returncode == 0, answer.stderr


def test_a_trial_is_not_for_where_people_come_over_https() -> None:
    for service in ("web", "dispatcher"):
        answer = check(service, **IN_EARNEST | {"MODE": "trial"})
        assert answer.returncode == 2
        assert "MODE: a trial shows its letters to everybody" in answer.stderr


def test_a_container_says_what_is_wrong_in_one_sentence_without_a_manage_py() -> None:
    environment = {**os.environ, **IN_EARNEST, "SECRET_KEY": "short", "DJANGO_SETTINGS_MODULE": "web.settings"}
    answer = subprocess.run(
        [sys.executable, "-m", "vestnik", "migrate", "--no-input"],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert answer.returncode == 2
    assert answer.stderr.startswith("Vestnik is misconfigured. SECRET_KEY: ")
    assert len(answer.stderr.splitlines()) == 1


@pytest.mark.parametrize("proxies", ["0", "1", "2"])
def test_in_earnest_djangos_own_checks_find_nothing(proxies: str) -> None:
    deploy = ("--deploy", "--fail-level", "DEBUG")
    answer = check("web", *deploy, **IN_EARNEST, TRUSTED_PROXIES=proxies)
    assert answer.returncode == 0, answer.stderr
    assert "no issues" in answer.stdout
    answer = check("dispatcher", **IN_EARNEST)
    assert answer.returncode == 0, answer.stderr


def test_the_server_itself_refuses_in_one_sentence() -> None:
    environment = {**os.environ, **IN_EARNEST, "SECRET_KEY": "short", "DJANGO_SETTINGS_MODULE": "web.settings"}
    answer = subprocess.run(
        [sys.executable, "-m", "gunicorn", "web.wsgi", "--preload", "--bind", "127.0.0.1:0"],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert answer.returncode != 0
    assert "Vestnik is misconfigured. SECRET_KEY" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_what_follows_from_the_address_of_the_installation() -> None:
    script = (
        "from django.conf import settings as s; import json; print(json.dumps([s.SESSION_COOKIE_SECURE,"
        " s.CSRF_COOKIE_SECURE, s.CSRF_TRUSTED_ORIGINS, s.SECURE_HSTS_SECONDS, s.ACCOUNT_DEFAULT_HTTP_PROTOCOL,"
        " s.SECURE_PROXY_SSL_HEADER]))"
    )

    def follows(**variables: str) -> list[object]:
        environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "web.settings", **variables}
        return json.loads(starting.python("-c", script, environment=environment).stdout)

    plain, https = "http://localhost:8080", "https://mail.example.org"
    behind = ["HTTP_X_FORWARDED_PROTO", "https"]
    assert follows(SITE_URL=plain) == [False, False, [plain], 0, "http", None]
    assert follows(SITE_URL=https) == [True, True, [https], 31_536_000, "https", None]
    assert follows(SITE_URL=https, TRUSTED_PROXIES="2", HSTS_SECONDS="0", TRUSTED_ORIGINS="https://other.org") == (
        [True, True, [https, "https://other.org"], 0, "https", behind]
    )
    assert follows(SITE_URL=plain, COOKIES_OVER_HTTPS_ONLY="true")[:2] == [True, True]
    assert follows(SITE_URL="HTTPS://Вестник.рф:8443/")[1:3] == [True, ["https://xn--b1agjinxh.xn--p1ai:8443"]]
    assert follows(SITE_URL="http://[::1]:8080")[2] == ["http://[::1]:8080"]


def test_a_host_in_other_letters_is_known_by_what_browsers_say() -> None:
    script = "from django.conf import settings; print(*settings.ALLOWED_HOSTS)"
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "web.settings",
        "ALLOWED_HOSTS": "Вестник.рф, .Example.org,[::1]",
    }
    run = starting.python("-c", script, environment=environment)
    assert run.stdout == "xn--b1agjinxh.xn--p1ai .example.org [::1]\n"


def test_the_sentence_about_the_mail_service_never_tells_the_password():
    answer = check("dispatcher", MAIL_SERVICE_URL="smtp://user:hunter2@localhost:25?what=ever")
    assert answer.returncode == 2
    assert "hunter2" not in answer.stderr


def test_a_secret_can_come_from_a_file(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("from a file\n")
    answer = check("web", SECRET_KEY="<unset>", SECRET_KEY_FILE=str(secret))
    assert answer.returncode == 0, answer.stderr


def test_a_file_that_cannot_be_read_is_said_in_a_sentence_that_names_its_variable(tmp_path):
    garbage = tmp_path / "garbage"
    garbage.write_bytes(b"\xff\xfe")
    for path in (tmp_path, tmp_path / "nowhere", garbage, garbage / "below"):
        answer = check("web", SECRET_KEY="<unset>", SECRET_KEY_FILE=str(path))
        assert answer.returncode == 2
        assert "SECRET_KEY" in answer.stderr
        assert len(answer.stderr.splitlines()) == 1


def test_both_services_start_with_what_the_tests_give_them():
    for service in ("web", "dispatcher"):
        answer = check(service)
        assert answer.returncode == 0, answer.stderr


@pytest.mark.parametrize(
    ("service", "off"), [("web", {"seqscan", "hashjoin", "mergejoin"}), ("dispatcher", {"seqscan"})]
)
def test_the_sessions_of_a_service_plan_as_its_statements_want_it(service, off):
    ask = "from django.db import connection; cursor = connection.cursor(); "
    ask += "cursor.execute('SELECT name FROM pg_settings WHERE name ~ %s AND setting = %s', ['^enable_', 'off']); "
    ask += "print(*[name for name, in cursor.fetchall()])"
    database = os.environ["DATABASE_URL"].replace("/vestnik?", "/postgres?")
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": f"{service}.settings", "DATABASE_URL": database}
    manage = f"services/{service}/manage.py"
    said = starting.python(manage, "shell", "--no-imports", "-c", ask, environment=environment).stdout
    assert {name.removeprefix("enable_") for name in said.split()} - SWITCHED_OFF_BY_POSTGRESQL == off


SWITCHED_OFF_BY_POSTGRESQL = {"partitionwise_aggregate", "partitionwise_join"}


def test_a_database_that_does_not_answer_is_said_in_a_sentence():
    environment = {**os.environ, "DATABASE_URL": "postgresql://nobody@127.0.0.1:9/nowhere"}
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    answer = starting.python("services/web/manage.py", "demo", environment=environment)
    assert answer.returncode == 1
    assert answer.stderr.startswith("The database does not answer")
    assert len(answer.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", ["mail.example.org", "[192.0.2.1]", "[IPv6:2001:db8::1]"])
def test_what_a_host_may_be_called(name):
    answer = check("dispatcher", EHLO_NAME=name)
    assert answer.returncode == 0, answer.stderr


def test_an_empty_variable_for_certificates_leaves_those_of_the_system():
    """OpenSSL would take it for a file that is not there, and trust nobody."""
    script = "import ssl, django; django.setup(); print(len(ssl.create_default_context().get_ca_certs()))"
    counts = []
    for variables in ({}, {"SSL_CERT_FILE": ""}):
        environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "dispatcher.settings", **variables}
        answer = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, check=True)
        counts.append(answer.stdout)
    assert counts[0] == counts[1]


@pytest.mark.parametrize(
    ("url", "warned"),
    [
        ("smtp://user:hunter2@mail.example.org", True), ("http://hunter2@mail.example.org/", True),
        ("smtp://mail.example.org", False), ("smtps://user:hunter2@mail.example.org", False),
        ("smtp+starttls://user:hunter2@mail.example.org", False), ("https://hunter2@mail.example.org/", False),
        ("smtp://user:hunter2@127.0.0.1", False), ("smtp://user:hunter2@[::1]", False),
    ],
)  # fmt: skip
def test_a_password_that_goes_over_the_network_in_the_clear_is_warned_of_once(url, warned):
    said = 0
    for part in ("scheduler", "control", "bulk"):
        environment = {**os.environ, **IN_EARNEST, "MAIL_SERVICE_URL": url, "DISPATCHER_PART": part}
        environment["DJANGO_SETTINGS_MODULE"] = "dispatcher.settings"
        script = "import dispatcher.main"
        answer = starting.python("-c", script, environment=environment)
        assert answer.returncode == 0, answer.stderr
        assert "hunter2" not in answer.stderr
        said += answer.stderr.count("in the clear")
    assert said == warned
