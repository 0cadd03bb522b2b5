"""Identifiers: unique, in the order in which they were made, and safe as a channel's number."""

import re
import threading
import time

from shanmen.common.ids import new_id

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def test_ids_of_one_process_grow_strictly() -> None:
    ids = [new_id("ord") for _ in range(20_000)]
    assert ids == sorted(set(ids))


def test_ids_of_several_threads_are_unique_and_grow_in_each() -> None:
    made: list[list[str]] = []

    def make() -> None:
        made.append([new_id("ord") for _ in range(5_000)])

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(ids == sorted(ids) for ids in made)
    assert len({one for ids in made for one in ids}) == 20_000


def test_an_id_is_a_prefix_and_26_unambiguous_characters() -> None:
    for _ in range(1_000):
        assert re.fullmatch(f"ord_[{CROCKFORD}]{{26}}", new_id("ord"))


def test_an_id_is_a_uuid_of_version_7_with_the_time_in_it() -> None:
    before_ms = time.time_ns() // 1_000_000
    digits = new_id("ord").removeprefix("ord_")
    value = 0
    for digit in digits:
        value = value * 32 + CROCKFORD.index(digit)
    assert value < 1 << 128
    assert value >> 76 & 0xF == 7, "version, RFC 9562 section 4.2"
    assert value >> 62 & 0b11 == 0b10, "variant, RFC 9562 section 4.1"
    assert abs((value >> 80) - before_ms) < 5_000
