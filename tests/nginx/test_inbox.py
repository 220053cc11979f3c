"""A trial's inbox is shown under the front's own address; elsewhere there is none."""

import os
import subprocess

import pytest

from local.nginx import SOURCE
from tests.nginx.client import Front
from tests.nginx.conftest import SECRET
from tests.nginx.web import Web


def test_an_inbox_is_shown_under_its_path_and_told_of_it(nginx, web, folders, tmp_path):
    with Web() as inbox:
        where = {"web": f"127.0.0.1:{web.port}", "inbox": f"127.0.0.1:{inbox.port}"}
        with Front(tmp_path / "nginx", secret=SECRET, **where, **folders) as front:
            assert front.ask("/inbox/letters/1?view=text").status == 200
        assert [asked.path for asked in inbox.asked] == ["/letters/1?view=text"]
        assert inbox.asked[0].headers["X-Forwarded-Prefix"] == "/inbox"
        assert inbox.asked[0].headers["Host"] == "vestnik.test"
    assert not web.asked


def test_without_an_inbox_there_is_nothing(front, web):
    assert front.ask("/inbox/").status == 404
    assert not web.asked


@pytest.mark.parametrize(("mode", "shown"), [("trial", "inbox:8025"), ("production", "")])
def test_in_real_use_there_is_none_whatever_else_is_said(mode, shown, tmp_path):
    (tmp_path / "secret").write_text("only-the-front-knows-this\n")
    environment = {"MODE": mode, "INBOX_UPSTREAM": "inbox:8025", "FRONT_SECRET_FILE": str(tmp_path / "secret")}
    script = f'set -e; . {SOURCE}/environment.envsh; echo "$FRONT_SECRET:$INBOX_UPSTREAM"'
    said = subprocess.run(
        ["sh", "-c", script], env=os.environ | environment, capture_output=True, text=True, check=True
    )
    assert said.stdout == f"only-the-front-knows-this:{shown}\n"


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ({"SITE_URL": "https://vestnik.example.org"}, "max-age=31536000"),
        ({"SITE_URL": "https://vestnik.example.org", "HSTS_SECONDS": "0"}, "max-age=0"),
        ({"SITE_URL": "http://vestnik.example.org", "HSTS_SECONDS": "300"}, ""),
        ({}, ""),
    ],
)
def test_the_front_tells_of_https_as_long_as_the_web_does(known, said):
    script = f'set -e; . {SOURCE}/environment.envsh; echo "$HSTS"'
    told = subprocess.run(["sh", "-c", script], env={"PATH": os.defpath} | known, capture_output=True, text=True)
    assert told.stdout == f"{said}\n"
