"""What every provider keeps to (`Provider.deliver`)."""

import logging
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from dispatcher.providers.base import Letter, Outcome, Receipt
from dispatcher.providers.errors import Unavailable
from tests.providers.conftest import drain, letter, letters
from tests.providers.services import CONNECTIONS, KINDS, Service, service
from tests.timing import in_time, wait_until


@pytest.fixture(params=KINDS)
def there(request: pytest.FixtureRequest) -> Iterator[Service]:
    with service(request.param) as made:
        yield made


class InThread:
    """A lane in a thread of its own."""

    def __init__(self, run: Callable[[], list[Receipt]]) -> None:
        self.receipts: list[Receipt] = []
        self.error: BaseException | None = None

        def body() -> None:
            try:
                self.receipts = run()
            except Unavailable as error:
                self.error = error

        self.thread = threading.Thread(target=body, daemon=True)
        self.thread.start()

    def join(self) -> list[Receipt]:
        self.thread.join(10)
        assert not self.thread.is_alive(), "the lane hangs"
        return self.receipts


def test_every_letter_gets_exactly_one_receipt(there: Service) -> None:
    sent = letters(100)
    receipts = list(there.provider.deliver(sent))
    assert Counter(receipt.letter for receipt in receipts) == Counter(sent)
    assert {receipt.outcome for receipt in receipts} == {Outcome.ACCEPTED}
    assert sorted(there.received()) == sorted(each.recipient for each in sent)


def test_no_letters_need_no_connection_and_give_no_receipt(there: Service) -> None:
    assert list(there.provider.deliver([])) == []


@pytest.mark.parametrize("outcome", [Outcome.TEMPORARY, Outcome.PERMANENT])
def test_a_refused_letter_harms_no_other(there: Service, outcome: Outcome) -> None:
    there.refuse("client5@example.org", outcome)
    receipts = {receipt.letter.delivery_id: receipt for receipt in there.provider.deliver(letters(10))}
    assert receipts[5].outcome is outcome
    assert receipts[5].code == there.codes[outcome]
    assert receipts[5].answer == "refused"
    assert len(there.received()) == 9


def test_a_receipt_says_when_the_hand_over_began_and_how_long_it_took(there: Service) -> None:
    before = time.monotonic()
    (receipt,) = there.provider.deliver([letter()])
    after = time.monotonic()
    assert before <= receipt.began <= receipt.began + receipt.duration <= after
    assert receipt.code == there.codes[Outcome.ACCEPTED]


def test_letters_are_pulled_only_as_connections_are_free(there: Service) -> None:
    there.hold()
    pulled: list[Letter] = []

    def source() -> Iterator[Letter]:
        for each in letters(20):
            pulled.append(each)
            yield each

    lane = InThread(lambda: list(there.provider.deliver(source())))
    there.wait_held(CONNECTIONS)
    time.sleep(0.1)
    assert len(pulled) == CONNECTIONS
    there.release()
    assert len(lane.join()) == 20


def test_letters_are_pulled_in_the_callers_thread(there: Service) -> None:
    threads: set[int] = set()

    def source() -> Iterator[Letter]:
        for each in letters(10):
            threads.add(threading.get_ident())
            yield each

    list(there.provider.deliver(source()))
    assert threads == {threading.get_ident()}


def test_none_waits_for_the_next_receipt(there: Service) -> None:
    asked_after: list[int] = []
    receipts: list[Receipt] = []

    def source() -> Iterator[Letter | None]:
        for each in letters(6):
            yield each
            asked_after.append(len(receipts))
            yield None

    drain(there.provider.deliver(source()), receipts)
    assert len(receipts) == 6
    assert asked_after == [0, 1, 2, 3, 4, 5]


def test_none_with_nothing_in_hand_is_the_end(there: Service) -> None:
    assert list(there.provider.deliver([None, letter()])) == []


def test_none_keeps_no_connection_from_another_lane(there: Service) -> None:
    there.hold()

    def one_and_then_nothing() -> Iterator[Letter | None]:
        yield letter(1)
        while True:
            yield None
            if there.received():
                return

    first = InThread(lambda: list(there.provider.deliver(one_and_then_nothing())))
    there.wait_held(1)
    second = InThread(lambda: list(there.provider.deliver(letters(CONNECTIONS - 1))))
    there.wait_held(CONNECTIONS)
    there.release()
    assert len(second.join()) == CONNECTIONS - 1
    first.join()


def test_what_becomes_free_goes_to_the_lane_with_fewer_letters_in_hand(there: Service) -> None:
    there.hold()
    first = InThread(lambda: list(there.provider.deliver(letters(20))))
    there.wait_held(CONNECTIONS)
    second = InThread(lambda: list(there.provider.deliver([letter(100), letter(101)])))
    wait_until(lambda: there.waiting() == 2)
    there.release(2)
    there.wait_held(CONNECTIONS + 2)
    there.release()
    second.join()
    first.join()
    began = {receipt.letter.delivery_id: receipt.began for receipt in first.receipts + second.receipts}
    assert max(began[100], began[101]) < began[5]


def test_many_lanes_come_and_go(there: Service) -> None:
    lanes = [InThread(lambda: list(there.provider.deliver(letters(40)))) for _ in range(12)]
    assert [len(lane.join()) for lane in lanes] == [40] * 12
    assert len(there.received()) == 12 * 40


def test_a_fault_of_the_letters_is_raised_after_the_receipts_of_what_was_in_hand(there: Service) -> None:
    def source() -> Iterator[Letter]:
        yield letter(1)
        yield letter(2)
        raise RuntimeError("the letters broke")

    receipts: list[Receipt] = []
    with pytest.raises(RuntimeError, match="the letters broke"):
        drain(there.provider.deliver(source()), receipts)
    assert len(receipts) == 2


def test_ctrl_c_is_raised_after_the_receipts_of_what_was_in_hand(there: Service) -> None:
    there.hold()

    def interrupt() -> None:
        there.wait_held(CONNECTIONS)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        time.sleep(0.05)
        there.release()

    thread = threading.Thread(target=interrupt)
    thread.start()
    receipts: list[Receipt] = []
    with pytest.raises(KeyboardInterrupt):
        drain(there.provider.deliver(letters(50)), receipts)
    thread.join()
    assert len(receipts) == len(there.received()) == CONNECTIONS


def test_an_iterator_closed_early_waits_for_what_is_in_hand_and_says_what_was_lost(
    there: Service, caplog: pytest.LogCaptureFixture
) -> None:
    receipts = there.provider.deliver(iter(letters(50)))
    next(receipts)
    with caplog.at_level(logging.ERROR):
        receipts.close()  # type: ignore[attr-defined]
    assert len(there.received()) < 50
    assert len(list(there.provider.deliver(letters(10)))) == 10, "its connections were lost"


def test_a_service_that_is_away_raises_unavailable_and_costs_no_letter(there: Service) -> None:
    there.leave()
    pulled: list[Letter] = []

    def source() -> Iterator[Letter]:
        for each in letters(3):
            pulled.append(each)
            yield each

    with pytest.raises(Unavailable):
        list(there.provider.deliver(source()))
    assert pulled == []


def test_a_service_that_comes_back_is_used_again(there: Service) -> None:
    assert len(list(there.provider.deliver(letters(3)))) == 3
    there.leave()
    with pytest.raises(Unavailable):
        list(there.provider.deliver(letters(100)))
    there.come_back()
    assert len(list(there.provider.deliver(letters(3)))) == 3


def test_every_lane_that_waits_hears_that_the_service_is_away(there: Service) -> None:
    there.leave()
    lanes = [InThread(lambda: list(there.provider.deliver(letters(3)))) for _ in range(4)]
    for lane in lanes:
        lane.join()
    assert all(isinstance(lane.error, Unavailable) for lane in lanes)


def test_letters_that_a_service_keeps_waiting_are_left_behind_and_their_receipts_come_late(there: Service) -> None:
    there.hold()
    late: list[Receipt] = []
    came = threading.Event()

    def inherit(receipt: Receipt) -> None:
        late.append(receipt)
        if len(late) == CONNECTIONS:
            came.set()

    began = time.monotonic()
    assert list(there.provider.deliver(letters(20), until=began + 0.2, late=inherit)) == []
    took = time.monotonic() - began
    assert took >= 0.2
    in_time(took, 2)
    assert late == []
    there.release()
    assert came.wait(10)
    assert {receipt.outcome for receipt in late} == {Outcome.ACCEPTED}
    assert sorted(receipt.letter.delivery_id for receipt in late) == list(range(1, CONNECTIONS + 1))
    assert sorted(there.received()) == sorted(receipt.letter.recipient for receipt in late)


def test_receipts_in_time_are_yielded_and_not_told_late(there: Service) -> None:
    late: list[Receipt] = []
    receipts = list(there.provider.deliver(letters(20), until=time.monotonic() + 30, late=late.append))
    assert (len(receipts), late) == (20, [])


def test_from_its_end_on_a_lane_waits_for_no_connection_and_pulls_no_letter(there: Service) -> None:
    there.hold()
    first = InThread(lambda: list(there.provider.deliver(letters(CONNECTIONS))))
    there.wait_held(CONNECTIONS)
    pulled: list[Letter] = []

    def source() -> Iterator[Letter]:
        for each in letters(3):
            pulled.append(each)
            yield each

    began = time.monotonic()
    assert list(there.provider.deliver(source(), until=began + 0.2)) == []
    took = time.monotonic() - began
    assert took >= 0.2
    in_time(took, 2)
    assert pulled == []
    there.release()
    assert len(first.join()) == CONNECTIONS


def test_an_end_in_the_past_pulls_nothing(there: Service) -> None:
    assert list(there.provider.deliver(letters(3), until=time.monotonic() - 1)) == []
    assert there.received() == []


def test_a_provider_closes_twice_and_delivers_nothing_after(there: Service) -> None:
    list(there.provider.deliver(letters(3)))
    there.provider.close()
    there.provider.close()
    with pytest.raises(Unavailable, match="closed"):
        list(there.provider.deliver(letters(3)))


def test_the_name_holds_no_password(there: Service) -> None:
    assert "://" in there.provider.name
    assert "@" not in there.provider.name
