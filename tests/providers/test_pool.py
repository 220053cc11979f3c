"""How connections are opened, kept, shared with other processes and given up: the same for SMTP and HTTP."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from dispatcher.providers import pool
from dispatcher.providers.base import Letter, Outcome, Receipt
from dispatcher.providers.errors import ConnectionLimitReached, Crowded, Unavailable
from dispatcher.providers.http import HttpProvider
from dispatcher.providers.smtp import SmtpProvider
from dispatcher.providers.url import HttpConfig, SmtpConfig
from tests.providers.conftest import TIMEOUT, connected, drain, letter, letters
from tests.scripted_servers import HttpServer, Late, SmtpServer
from tests.timing import in_time, wait_until

Server = SmtpServer | HttpServer
Make = Callable[..., SmtpProvider | HttpProvider]
SOON = 0.05


class FewSlots:
    """So many for all, as Redis would count them."""

    limited = False

    def __init__(self, most: int) -> None:
        self.most = most
        self.taken = self.highest = self.asked = self.open = self.refused = 0
        self.fair = most
        """How many there should be, for others want the rest."""
        self.lock = threading.Condition()
        self.let = threading.Event()
        """Cleared, it keeps whoever asks waiting."""
        self.let.set()

    def take(self) -> bool:
        with self.lock:
            self.asked += 1
            self.lock.notify_all()
        self.let.wait()
        with self.lock:
            if self.taken >= self.most:
                return False
            self.taken += 1
            self.highest = max(self.highest, self.taken)
            return True

    def opened(self) -> None:
        with self.lock:
            self.open += 1

    def crowded(self) -> bool:
        with self.lock:
            self.refused += 1
            return self.open > 0

    def release(self) -> None:
        with self.lock:
            self.taken -= 1
            self.open = min(self.open, self.taken)
            self.lock.notify_all()

    def renew(self) -> int:
        return max(0, self.taken - self.fair)

    def wait_for(self, taken: int) -> None:
        with self.lock:
            assert self.lock.wait_for(lambda: self.taken == taken, 10), f"{self.taken} slots are taken"


@pytest.fixture(params=["smtp", "http"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    made: Server = SmtpServer() if request.param == "smtp" else HttpServer()
    with made as running:
        yield running
    assert running.violations == []


@pytest.fixture
def provider_of(server: Server) -> Iterator[Make]:
    made: list[SmtpProvider | HttpProvider] = []
    given: list[FewSlots] = []

    def make(slots: FewSlots | None = None, **options: object) -> SmtpProvider | HttpProvider:
        provider: SmtpProvider | HttpProvider
        if isinstance(server, SmtpServer):
            smtp = SmtpConfig("127.0.0.1", server.port, connections=4, timeout=TIMEOUT)
            provider = SmtpProvider(replace(smtp, **options), slots=slots)  # type: ignore[arg-type]
        else:
            http = HttpConfig("http", "127.0.0.1", server.port, server.path, "token", connections=4, timeout=TIMEOUT)
            provider = HttpProvider(replace(http, **options), slots=slots)  # type: ignore[arg-type]
        made.append(provider)
        given.extend([slots] if slots is not None else [])
        return provider

    yield make
    for provider in made:
        provider.close()
    assert [slots.taken for slots in given] == [0] * len(given)


def slow(server: Server, seconds: float = 0.01) -> None:
    server.always(server.answer_step, Late(seconds))


def test_many_letters_open_all_connections_and_no_more(server: Server, provider_of: Make) -> None:
    provider = provider_of()
    server.hold()
    with ThreadPoolExecutor(1) as threads:
        lane = threads.submit(lambda: list(provider.deliver(letters(200))))
        server.wait_until(lambda: len(server.held) == 4)
        server.release()
        assert len(lane.result()) == 200
    assert server.connections_made == server.most_open == 4


def test_few_letters_open_few_connections_and_they_are_kept(server: Server, provider_of: Make) -> None:
    provider = provider_of(connections=20)
    for number in range(5):
        list(provider.deliver([letter(number + 1)]))
    assert server.connections_made <= 2


@pytest.mark.parametrize("total", [None, 10])
def test_idle_connections_are_parted_from_and_their_slots_given_back(
    server: Server, provider_of: Make, monkeypatch: pytest.MonkeyPatch, total: int | None
) -> None:
    monkeypatch.setattr(pool, "SHARED_IDLE" if total else "IDLE", 0.1)
    slots = FewSlots(10)
    provider = provider_of(slots, total=total)
    list(provider.deliver(letters(20)))
    server.wait_until(lambda: not server.open)
    slots.wait_for(0)
    assert len(list(provider.deliver(letters(3)))) == 3


def test_there_are_never_more_connections_than_slots(
    server: Server, provider_of: Make, caplog: pytest.LogCaptureFixture
) -> None:
    slow(server)
    slots = FewSlots(2)
    with caplog.at_level(logging.WARNING):
        assert len(list(provider_of(slots).deliver(letters(100)))) == 100
    assert server.most_open == slots.highest == 2
    assert slots.asked < 10, "asked all the time for what was not there"
    assert caplog.text == ""


def test_without_a_slot_no_letter_is_pulled_and_it_is_said_that_there_is_no_room(
    server: Server, provider_of: Make
) -> None:
    pulled: list[Letter] = []

    def source() -> Iterator[Letter]:
        for each in letters(3):
            pulled.append(each)
            yield each

    with pytest.raises(ConnectionLimitReached):
        list(provider_of(FewSlots(0)).deliver(source()))
    assert pulled == []
    assert server.connections_made == 0


def test_what_one_process_parts_from_another_takes(
    server: Server, provider_of: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "SHARED_IDLE", 0.1)
    slots = FewSlots(1)
    one, other = provider_of(slots, total=1), provider_of(slots, total=1)
    server.hold()
    with ThreadPoolExecutor(1) as threads:
        lane = threads.submit(lambda: list(one.deliver(letters(3))))
        server.wait_until(lambda: len(server.held) == 1)
        with pytest.raises(ConnectionLimitReached):
            list(other.deliver(letters(3)))
        server.release()
        assert len(lane.result()) == 3
    slots.wait_for(0)
    assert len(list(other.deliver(letters(3)))) == 3
    assert slots.highest == server.most_open == 1


def test_what_others_want_is_given_up_idle_or_after_its_letter(
    server: Server, provider_of: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "RENEWAL", 0.1)
    slots = FewSlots(4)
    provider = provider_of(slots)
    slow(server, 0.05)
    list(provider.deliver(letters(40)))
    slots.fair = 1
    slots.wait_for(1)
    server.hold()
    lane = threading.Thread(target=lambda: list(provider.deliver([letter(41)])))
    lane.start()
    server.wait_until(lambda: len(server.held) == 1)
    slots.fair = 0
    time.sleep(0.3)
    assert slots.taken, "a letter was cut off"
    server.release()
    lane.join(5)
    slots.wait_for(0)
    assert len(server.letters) == 41


def test_a_connection_that_is_refused_while_others_live_is_a_lack_of_room_and_told_once(
    server: Server, provider_of: Make, caplog: pytest.LogCaptureFixture
) -> None:
    slots = FewSlots(4)
    slow(server)
    provider = provider_of(slots)
    assert len(list(provider.deliver([letter(1)]))) == 1
    server.refuse()
    slots.open = 1  # of this process or another
    with caplog.at_level(logging.WARNING):
        assert len(list(provider.deliver(letters(20)))) == 20
    assert slots.refused >= 1
    assert "takes no more connections" in caplog.text


def test_a_connection_that_is_refused_while_another_process_has_some_raises_no_room(
    server: Server, provider_of: Make
) -> None:
    server.refuse()
    slots = FewSlots(4)
    provider = provider_of(slots)
    slots.taken = slots.open = 1
    with pytest.raises(ConnectionLimitReached):
        list(provider.deliver(letters(3)))
    slots.taken -= 1
    slots.open = 0
    with pytest.raises(Crowded):
        list(provider.deliver(letters(3)))


def test_who_parts_cuts_no_letter_off_and_goes_on_over_new_connections(server: Server, provider_of: Make) -> None:
    provider = provider_of(connections=2)
    provider.part()
    slow(server)
    list(provider.deliver(letters(10)))
    made = server.connections_made
    server.hold()
    receipts: list[Receipt] = []
    lane = threading.Thread(target=lambda: drain(provider.deliver([letter(11)]), receipts))
    lane.start()
    server.wait_until(lambda: len(server.held) == 1)
    provider.part()
    server.wait_until(lambda: len(server.open) == 1)
    server.release()
    lane.join(5)
    server.wait_until(lambda: not server.open)
    assert [receipt.outcome for receipt in receipts] == [Outcome.ACCEPTED]
    list(provider.deliver(letters(3)))
    assert server.connections_made > made


def test_a_failed_dial_keeps_no_slot(server: Server, provider_of: Make) -> None:
    server.refuse()
    slots = FewSlots(3)
    with pytest.raises(Unavailable):
        list(provider_of(slots).deliver(letters(3)))
    slots.wait_for(0)


def test_a_connection_that_breaks_gives_its_slot_back(server: Server, provider_of: Make) -> None:
    slots = FewSlots(1)
    provider = provider_of(slots, connections=1)
    for _ in range(3):
        server.hold()
        thread = threading.Thread(target=lambda: list(provider.deliver([letter()])))
        thread.start()
        server.wait_until(lambda: len(server.held) == 1)
        server.drop_connections()
        thread.join(5)
        assert not thread.is_alive()
        server.release()
    assert [receipt.outcome for receipt in provider.deliver([letter()])] == [Outcome.ACCEPTED]
    assert slots.highest == 1


def test_closing_answers_what_is_in_hand_and_gives_every_slot_back(
    server: Server, provider_of: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "PARTING", 0.2)
    slots = FewSlots(10)
    provider = provider_of(slots, timeout=30)
    server.hold()
    receipts: list[Receipt] = []

    def lane() -> None:
        with pytest.raises(Unavailable, match="closed"):
            drain(provider.deliver(letters(10)), receipts)

    thread = threading.Thread(target=lane)
    thread.start()
    server.wait_until(lambda: len(server.held) == 4)
    began = time.monotonic()
    provider.close()
    in_time(time.monotonic() - began, 2)
    thread.join(5)
    assert not thread.is_alive()
    assert [receipt.outcome for receipt in receipts] == [Outcome.UNKNOWN] * 4
    assert slots.taken == 0


def test_a_letter_pulled_while_the_provider_closes_is_returned(
    server: Server, provider_of: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "PARTING", 0.1)
    provider = provider_of()

    def source() -> Iterator[Letter]:
        provider.close()
        yield letter()

    receipts: list[Receipt] = []
    with pytest.raises(Unavailable, match="closed"):
        drain(provider.deliver(source()), receipts)
    assert [(receipt.outcome, receipt.code) for receipt in receipts] == [(Outcome.RETURNED, None)]
    assert server.letters == []


def test_a_slot_that_is_granted_after_the_end_goes_back(
    server: Server, provider_of: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "PARTING", 0.2)
    slots = FewSlots(3)
    slots.let.clear()
    provider = provider_of(slots)

    def lane() -> None:
        with pytest.raises(Unavailable, match="closed"):
            list(provider.deliver(letters(3)))

    thread = threading.Thread(target=lane)
    thread.start()
    with slots.lock:
        assert slots.lock.wait_for(lambda: slots.asked, 10)
    provider.close()
    thread.join(5)
    slots.let.set()
    slots.wait_for(0)
    assert server.connections_made == 0


@pytest.mark.usefixtures("patient")
def test_a_letter_whose_connection_was_given_up_is_returned_where_no_other_can_be_had(
    server: Server, provider_of: Make
) -> None:
    provider = provider_of(connections=1)
    assert len(list(provider.deliver([letter(1)]))) == 1

    def source() -> Iterator[Letter]:
        server.refuse()
        server.drop_connections()
        wait_until(lambda: not connected(provider))  # a letter written on it would be unknown over HTTP
        yield letter(2)

    receipts: list[Receipt] = []
    with pytest.raises(Unavailable):
        drain(provider.deliver(source()), receipts)
    assert [(receipt.outcome, receipt.code) for receipt in receipts] == [(Outcome.RETURNED, None)]
    assert [received.message_id for received in server.letters] == ["1@letters.example"]


@pytest.mark.usefixtures("patient")
def test_a_letter_whose_connection_was_given_up_goes_over_another(server: Server, provider_of: Make) -> None:
    provider = provider_of(connections=1)
    assert len(list(provider.deliver([letter(1)]))) == 1

    def source() -> Iterator[Letter]:
        server.drop_connections()
        wait_until(lambda: not connected(provider))
        yield letter(2)

    assert [receipt.outcome for receipt in provider.deliver(source())] == [Outcome.ACCEPTED]
    assert server.connections_made == 2


def test_a_letter_is_not_tried_again_when_its_token_no_longer_counts(server: Server, provider_of: Make) -> None:
    slots = FewSlots(1)
    provider = provider_of(slots, connections=1)
    assert len(list(provider.deliver([letter(1)]))) == 1

    def source() -> Iterator[Letter]:
        slots.let.clear()  # another connection takes long
        server.drop_connections()
        slots.wait_for(0)
        yield letter(2)

    began = time.monotonic()
    lane = provider.deliver(source(), until=began + 5)
    receipt = next(lane)
    slots.let.set()
    assert (receipt.outcome, receipt.code) == (Outcome.RETURNED, None)
    assert "before the letter" in receipt.answer
    in_time(time.monotonic() - began, 2, "it waited for the connection")
    assert list(lane) == []
    assert [each.outcome for each in provider.deliver([letter(3)])] == [Outcome.ACCEPTED]
    assert [received.message_id for received in server.letters] == ["1@letters.example", "3@letters.example"]


def test_a_timer_that_goes_off_a_little_early_returns_the_letter_all_the_same(
    server: Server, provider_of: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool.HandOver, "late", property(lambda work: time.monotonic() >= work.pulled + 1.5 * SOON))
    monkeypatch.setattr(pool, "SECOND_TRY", SOON)
    slots = FewSlots(1)
    provider = provider_of(slots, connections=1)
    assert len(list(provider.deliver([letter(1)]))) == 1

    def source() -> Iterator[Letter]:
        slots.let.clear()
        server.drop_connections()
        slots.wait_for(0)
        yield letter(2)

    with ThreadPoolExecutor(1) as threads:
        lane = threads.submit(lambda: next(provider.deliver(source())))
        try:
            receipt = lane.result(10)
        finally:
            slots.let.set()
    assert receipt.outcome is Outcome.RETURNED


@pytest.mark.usefixtures("patient")
def test_a_letter_whose_connection_was_given_up_goes_over_a_free_one_where_there_is_no_room_for_another(
    server: Server, provider_of: Make
) -> None:
    provider = provider_of(connections=1)
    asked, go_on = threading.Event(), threading.Event()

    def claims_slowly() -> Iterator[Letter]:
        asked.set()  # a connection is reserved
        assert go_on.wait(10)
        yield letter(1)

    with ThreadPoolExecutor(1) as threads:
        one = threads.submit(lambda: list(provider.deliver(claims_slowly())))
        assert asked.wait(10)
        server.drop_connections()
        server.wait_until(lambda: not server.open)
        assert [each.outcome for each in provider.deliver([letter(2)])] == [Outcome.ACCEPTED]
        go_on.set()
        assert [each.outcome for each in one.result(10)] == [Outcome.ACCEPTED]
    assert len(list(provider.deliver(letters(5)))) == 5
    assert server.connections_made == 2, "the free one was not kept"
