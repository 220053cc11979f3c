"""What docs/ says about providers is true: its code runs, its schema is the one that is used."""

import json
import re
import socket
import subprocess
import sys
import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dispatcher.providers import registry, url
from dispatcher.providers.base import Outcome, Provider
from dispatcher.providers.errors import Misconfigured
from dispatcher.providers.http.dialects import own
from dispatcher.providers.registry import provider_from
from local.probes import listens
from tests.providers.conftest import letter
from vestnik.mail import extra_headers

DOCS = Path(__file__).parents[2] / "docs"


def blocks(document: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (DOCS / document).read_text(), re.DOTALL | re.MULTILINE)


def outcomes(provider: Provider, *recipients: str) -> list[tuple[Outcome, int | None, str]]:
    sent = [letter(number, recipient) for number, recipient in enumerate(recipients, start=1)]
    receipts = sorted(provider.deliver(sent), key=lambda receipt: receipt.letter.delivery_id)
    return [(receipt.outcome, receipt.code, receipt.answer) for receipt in receipts]


def test_the_schema_of_the_document_is_the_one_that_answers_are_checked_by() -> None:
    (schema,) = blocks("http_api.md", "json")
    assert json.loads(schema) == json.loads(Path(own.__file__).with_name("answer.schema.json").read_text())


@pytest.fixture
def service(tmp_path: Path) -> Iterator[int]:
    """The documented service, in a process of its own."""
    (tmp_path / "service.py").write_text(blocks("http_api.md", "python")[0])
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    process = subprocess.Popen([sys.executable, "service.py", str(port)], cwd=tmp_path, stderr=subprocess.DEVNULL)
    try:
        ends = time.monotonic() + 10
        while not listens(port):
            assert time.monotonic() < ends, "the documented service does not start"
            time.sleep(0.02)
        yield port
    finally:
        process.kill()
        process.wait()


def test_the_documented_service_takes_letters(service: int) -> None:
    provider = provider_from(f"http://secret@127.0.0.1:{service}/?connections=1")
    assert outcomes(provider, "a@example.org", "b@elsewhere.example") == [
        (Outcome.ACCEPTED, 202, "1 taken"),
        (Outcome.PERMANENT, 422, "5.1.2 only @example.org is delivered here"),
    ]
    assert outcomes(provider, "a@example.org") == [(Outcome.ACCEPTED, 202, "1 taken")], "the same key was taken twice"
    provider.close()


def test_the_documented_service_refuses_another_token(service: int) -> None:
    provider = provider_from(f"http://wrong@127.0.0.1:{service}/")
    with pytest.raises(Misconfigured, match="unknown token"):
        outcomes(provider, "a@example.org")
    provider.close()


@pytest.fixture
def third(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module of the documented provider."""
    module = types.ModuleType("documented_provider")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(blocks("adding_a_provider.md", "python")[0], vars(module))  # noqa: S102
    return module


def test_the_documented_provider_hands_letters_over(third: Any, tmp_path: Path) -> None:
    command = tmp_path / "sendmail"
    command.write_text(
        "#!/bin/sh\n"
        f'cat > {tmp_path}/"$5"\n'
        'case "$5" in later@*) echo not now >&2; exit 75;; never@*) echo no such user >&2; exit 67;; esac\n'
        'case "$5" in slow@*) exec sleep 30;; esac\n'
    )
    command.chmod(0o755)
    provider = third.CommandProvider(third.CommandConfig(str(command), connections=4, timeout=10))
    assert outcomes(provider, "a@example.org", "later@example.org", "never@example.org") == [
        (Outcome.ACCEPTED, 0, "accepted"),
        (Outcome.TEMPORARY, 75, "not now"),
        (Outcome.PERMANENT, 67, "no such user"),
    ]
    hurried = third.CommandProvider(third.CommandConfig(str(command), connections=4, timeout=0.5))
    assert outcomes(hurried, "slow@example.org") == [
        (Outcome.UNKNOWN, None, "the command did not end well (TimeoutError)"),
    ]
    assert (tmp_path / "a@example.org").read_bytes() == letter(1).content
    hurried.close()
    provider.close()


def test_the_documented_provider_is_made_of_its_address(third: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(url, "PARSERS", dict(url.PARSERS))
    monkeypatch.setattr(registry, "BUILDERS", dict(registry.BUILDERS))
    exec(blocks("adding_a_provider.md", "python")[1], vars(third))  # noqa: S102
    provider = registry.provider_from("sendmail:///usr/sbin/sendmail?connections=4", connections=3)
    assert (type(provider), provider.name, provider.connections) == (
        third.CommandProvider,
        "sendmail:///usr/sbin/sendmail",
        3,
    )
    with pytest.raises(url.WrongUrl, match="write sendmail"):
        registry.provider_from("sendmail://usr")


def test_the_documented_provider_is_misconfigured_without_its_command(third: Any, tmp_path: Path) -> None:
    provider = third.CommandProvider(third.CommandConfig(str(tmp_path / "nothing")))
    with pytest.raises(Misconfigured, match="cannot be run"):
        outcomes(provider, "a@example.org")
    provider.close()


ADDRESSES = re.findall(r"^ +MAIL_SERVICE_URL='(.*?)'", (DOCS / "providers.md").read_text(), re.MULTILINE)


@pytest.mark.parametrize("address", ADDRESSES)
def test_every_address_on_the_page_of_mail_services_is_one(address: str) -> None:
    config = url.parse(address.replace("…", "x"))
    assert not url.in_the_clear(address.replace("…", "x")), config


def test_every_mail_service_that_has_a_dialect_is_on_the_page() -> None:
    assert url.SERVICES.keys() <= {address.partition("://")[0] for address in ADDRESSES}


def test_every_setting_on_the_page_of_mail_services_is_json_that_letters_can_have() -> None:
    found = re.findall(r"EXTRA_HEADERS='(.*?)'", (DOCS / "providers.md").read_text())
    assert len(found) >= 4
    for text in found:
        extra_headers.lines(json.loads(text))
