"""The ticket code: one text per ticket is accepted, and it is the one that was signed."""

import base64
import string
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from shanmen.verification.domain import Judgement, RefusalCode
from shanmen.verification.qr import TicketKeys, load_ticket_keys, read_qr

TICKET = "tkt_06DZ4M8W2K3Q7R9T1V5X6Y8Z0A"
OTHER_KEY = Ed25519PrivateKey.generate()

# Signed with the seed 00 01 … 1f by another implementation of the format (orders').
GOLDEN_KEY = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="
GOLDEN_CODE = (
    "SM1.2026a.tkt_06DZ4M8W2K3Q7R9T1V5X6Y8Z0A."
    "3VQqqhxoTP_GJg9_CHSUOiXr2aSD32iN84DTDZishj4q3AY9G2qoTI9-bMh1hnneTMO2VZRV5Apu7h9TPiofDA"
)

Sign = Callable[..., str]

unhurried = settings(deadline=None)  # a busy machine is no defect of the parser


@pytest.fixture(scope="session")
def keys(ticket_key: Ed25519PrivateKey) -> TicketKeys:
    return {"2026a": ticket_key.public_key(), "2026b": OTHER_KEY.public_key()}


def refusal(text: str, keys: TicketKeys) -> RefusalCode | None:
    read = read_qr(text, keys)
    assert isinstance(read, Judgement), f"accepted: {text!r}"
    assert read.subject is None
    return read.code


def test_a_signed_code_gives_its_ticket_number(sign: Sign, keys: TicketKeys) -> None:
    assert read_qr(sign(TICKET), keys) == TICKET


def test_the_wire_format_is_what_orders_writes() -> None:
    assert read_qr(GOLDEN_CODE, load_ticket_keys({"2026a": GOLDEN_KEY})) == TICKET


def test_tickets_of_an_old_and_a_new_key_are_good_at_once(sign: Sign, keys: TicketKeys) -> None:
    assert read_qr(sign(TICKET, key_id="2026a"), keys) == TICKET
    assert read_qr(sign(TICKET, key_id="2026b", key=OTHER_KEY), keys) == TICKET


@pytest.mark.parametrize(
    ("key_id", "ticket_no"),
    [("k", "1"), ("A-z_9" * 6 + "xx", "Zz_0" * 10)],
    ids=["shortest", "longest"],
)
def test_the_bounds_are_inside(key_id: str, ticket_no: str) -> None:
    key = OTHER_KEY
    text = f"SM1.{key_id}.{ticket_no}"
    code = f"{text}.{_base64url(key.sign(text.encode()))}"
    assert len(code) <= 164
    assert read_qr(code, {key_id: key.public_key()}) == ticket_no


@pytest.mark.parametrize(
    ("key_id", "ticket_no"),
    [
        ("", TICKET),
        ("k" * 33, TICKET),
        ("2026a", ""),
        ("2026a", "t" * 41),
        ("2026a", "票"),
        ("2026.a", TICKET),
        ("2026a", "tkt-1"),
        ("2026a", "tkt 1"),
        ("2026a", "tkt\n"),
    ],
)
def test_properly_signed_but_out_of_bounds_is_no_ticket_code(key_id: str, ticket_no: str) -> None:
    text = f"SM1.{key_id}.{ticket_no}"
    code = f"{text}.{_base64url(OTHER_KEY.sign(text.encode()))}"
    assert refusal(code, {key_id: OTHER_KEY.public_key()}) is RefusalCode.UNREADABLE


def test_no_single_change_of_a_code_is_accepted(sign: Sign, keys: TicketKeys) -> None:
    code = sign(TICKET)
    characters = string.ascii_letters[::5] + string.digits[::3] + "_-.=+/ \n票"
    mutants = {
        code[:at] + put + code[at + taken :]
        for at in range(len(code) + 1)
        for taken in (0, 1)
        for put in (*characters, "")
    }
    swaps = {code[:at] + code[at + 1] + code[at] + code[at + 2 :] for at in range(len(code) - 1)}
    mutants = (mutants | swaps) - {code}
    assert len(mutants) > 5_000

    codes = {refusal(mutant, keys) for mutant in mutants}

    assert codes == {RefusalCode.UNREADABLE, RefusalCode.FORGED}


@pytest.mark.parametrize("part", [0, 1, 2, 3])
@unhurried
@given(data=st.data())
def test_no_exchanged_part_is_accepted(
    part: int, data: st.DataObject, sign: Sign, keys: TicketKeys
) -> None:
    parts = sign(TICKET).split(".")
    alphabet = string.ascii_letters + string.digits + "_-"
    exchanged = data.draw(st.text(alphabet, min_size=1, max_size=90))
    code = ".".join([*parts[:part], exchanged, *parts[part + 1 :]])
    if exchanged != parts[part]:
        refusal(code, keys)


@unhurried
@given(text=st.text(max_size=400))
def test_no_text_at_all_breaks_it(text: str, keys: TicketKeys) -> None:
    assert refusal(text, keys) is RefusalCode.UNREADABLE


@unhurried
@given(signature=st.binary(min_size=64, max_size=64))
def test_no_made_up_signature_is_accepted(signature: bytes, keys: TicketKeys) -> None:
    code = f"SM1.2026a.{TICKET}.{_base64url(signature)}"
    assert refusal(code, keys) is RefusalCode.FORGED


def test_a_foreign_key_under_our_key_id_is_forged(sign: Sign, keys: TicketKeys) -> None:
    assert refusal(sign(TICKET, key=OTHER_KEY), keys) is RefusalCode.FORGED


def test_the_key_id_is_signed_too(keys: TicketKeys) -> None:
    both = {"2026a": OTHER_KEY.public_key(), "2026b": OTHER_KEY.public_key()}
    text = f"SM1.2026a.{TICKET}"
    signature = _base64url(OTHER_KEY.sign(text.encode()))
    assert read_qr(f"{text}.{signature}", both) == TICKET
    assert refusal(f"SM1.2026b.{TICKET}.{signature}", both) is RefusalCode.FORGED


def test_an_unknown_key_id_is_forged_and_named(sign: Sign, keys: TicketKeys) -> None:
    read = read_qr(sign(TICKET, key_id="2025z"), keys)
    assert isinstance(read, Judgement)
    assert read.code is RefusalCode.FORGED
    assert "'2025z'" in read.detail


def test_only_one_spelling_of_a_signature_is_accepted(sign: Sign, keys: TicketKeys) -> None:
    code = sign(TICKET)
    alphabet = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
    signature = base64.urlsafe_b64decode(code[-86:] + "==")
    # The last character carries 2 bits of the signature; its 4 others do not count when decoding.
    same_bytes = [
        code[:-1] + last
        for last in alphabet
        if base64.urlsafe_b64decode(code[-86:-1] + last + "==") == signature
    ]
    assert len(same_bytes) == 16
    accepted = [text for text in same_bytes if read_qr(text, keys) == TICKET]
    assert accepted == [code]
    assert refusal(f"{code}==", keys) is RefusalCode.UNREADABLE


@pytest.mark.parametrize("length", [165, 301, 7_089, 1_000_000])
def test_a_long_text_is_no_ticket_code(length: int, sign: Sign, keys: TicketKeys) -> None:
    assert refusal(sign(TICKET).ljust(length, "A"), keys) is RefusalCode.UNREADABLE


@pytest.mark.parametrize(
    ("encoded", "complaint"),
    [
        ({"a.b": GOLDEN_KEY}, "key id 'a.b'"),
        ({"": GOLDEN_KEY}, "key id ''"),
        ({"a": "not base64!"}, "key 'a' is not the base64 of 32 bytes"),
        ({"a": base64.b64encode(bytes(31)).decode()}, "key 'a' is not the base64 of 32 bytes"),
    ],
)
def test_unusable_keys_are_named(encoded: dict[str, str], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        load_ticket_keys(encoded)


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
