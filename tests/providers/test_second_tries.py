"""Second tries and the limits: a letter counts when its token is taken, and may not come much later."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from dispatcher.pace.limits import RateLimits, rules
from dispatcher.providers.base import Letter
from dispatcher.providers.smtp import SmtpProvider
from dispatcher.providers.url import SmtpConfig
from tests.providers.conftest import letters
from tests.scripted_servers import Drop, Late, SmtpServer


@pytest.fixture
def limited(settings: Any, valkey: None, db: None) -> Callable[..., None]:
    def limit(provider: str = "", owner: str = "", domain: str = "") -> None:
        settings.RATE_LIMITS = rules.windows("RATE_LIMITS", provider)
        settings.OWNER_RATE_LIMITS = rules.windows("OWNER_RATE_LIMITS", owner)
        settings.DOMAIN_RATE_LIMITS = rules.domain_windows("DOMAIN_RATE_LIMITS", domain)

    limit()
    return limit


def test_letters_sent_once_more_on_another_connection_do_not_break_the_limit(
    limited: Any,
) -> None:
    limited("20/s")
    limits = RateLimits()
    with SmtpServer() as smtp:
        provider = SmtpProvider(SmtpConfig("127.0.0.1", smtp.port, connections=20, timeout=5))

        def source(count: int) -> Iterator[Letter]:
            for each in letters(count):
                while not limits.take(1, 1).count:
                    time.sleep(0.005)
                limits.used(1)
                yield each

        # 20 kept connections
        smtp.hold()
        with ThreadPoolExecutor(1) as threads:
            warm = threads.submit(lambda: list(provider.deliver(letters(20))))
            smtp.wait_until(lambda: len(smtp.held) == 20)
            smtp.release()
            warm.result(10)
        # The service goes away as it restarts: kept connections close at MAIL, and the greeting comes late.
        smtp.once("mail", Drop(), times=20)
        smtp.always("greeting", Late(1.0))
        list(provider.deliver(source(60)))
        provider.close()
    came = [received.arrived for received in smtp.letters[20:]]
    most = max(sum(1 for other in came if at - 1 < other <= at) for at in came)
    assert most <= 21, f"{most} letters came within a second, at a limit of 20"
