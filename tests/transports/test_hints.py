"""The body of a hint: what is written, what is read, what is refused and why."""

import json
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ulid import ULID

from sagas.transports.errors import MessageDecodeError
from sagas.transports.hints import MAX_BYTES, MOST, decode_hints, encode_hint, encode_hints

SAGA = UUID("01931b3c-7a00-7abc-8def-0123456789ab")


def test_encode_hint__is_the_documented_json() -> None:
    assert json.loads(encode_hint(SAGA)) == {"saga": str(SAGA), "v": 1}


@given(st.uuids())
def test_decode_hints__reads_what_was_written(saga_id: UUID) -> None:
    assert decode_hints(encode_hint(saga_id)) == [saga_id]


@given(
    st.uuids(),
    st.dictionaries(st.text(max_size=8).filter(lambda k: k not in {"saga", "v"}), st.integers(), max_size=3),
)
def test_decode_hints__accepts_unknown_keys_and_other_spellings(saga_id: UUID, extra: dict[str, int]) -> None:
    for text in (str(saga_id), saga_id.hex, str(ULID.from_uuid(saga_id))):
        assert decode_hints(json.dumps({"v": 1, **extra, "saga": text}, indent=1).encode()) == [saga_id]


def test_decode_hints__version_may_be_absent() -> None:
    assert decode_hints(json.dumps({"saga": str(SAGA)}).encode()) == [SAGA]


@given(st.lists(st.uuids(), min_size=2, max_size=MOST, unique=True))
def test_decode_hints__reads_a_whole_pack_each_saga_once(saga_ids: list[UUID]) -> None:
    body = encode_hints(saga_ids)

    assert json.loads(body) == {"sagas": [str(saga_id) for saga_id in saga_ids], "v": 1}
    assert len(body) <= MAX_BYTES
    assert decode_hints(body) == saga_ids
    assert decode_hints(json.dumps({"sagas": [saga_ids[0].hex, str(saga_ids[0])]}).encode()) == saga_ids[:1]


def test_encode_hints__one_saga_is_a_plain_hint() -> None:
    assert encode_hints([SAGA]) == encode_hint(SAGA)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "bad_json"),
        (b"{", "bad_json"),
        (b"[" * MAX_BYTES, "bad_json"),
        (b"\xff\xfe", "bad_encoding"),
        (b'"text"', "not_an_object"),
        (b"[1]", "not_an_object"),
        (b"null", "not_an_object"),
        (b"{}", "bad_saga_id"),
        (b'{"saga": 7}', "bad_saga_id"),
        (b'{"saga": null}', "bad_saga_id"),
        (b'{"saga": "x"}', "bad_saga_id"),
        (b'{"saga": "ZZZZZZZZZZZZZZZZZZZZZZZZZZ"}', "bad_saga_id"),
        (b'{"saga":"01931b3c-7a00-7abc-8def-0123456789ag","v":1}', "bad_saga_id"),
        (b'{"saga": "01931b3c-7a00-7abc-8def-0123456789ab", "v": 2}', "unknown_version"),
        (b'{"saga": "01931b3c-7a00-7abc-8def-0123456789ab", "v": true}', "unknown_version"),
        (b'{"saga": "01931b3c-7a00-7abc-8def-0123456789ab", "v": "1"}', "unknown_version"),
        (b'{"sagas": "01931b3c-7a00-7abc-8def-0123456789ab"}', "bad_saga_id"),
        (b'{"sagas": []}', "bad_saga_id"),
        (b'{"sagas": [7]}', "bad_saga_id"),
        (b'{"sagas": ["01931b3c-7a00-7abc-8def-0123456789ab", "x"]}', "bad_saga_id"),
        (json.dumps({"sagas": [SAGA.hex] * (MOST + 1)}).encode(), "bad_saga_id"),
        (b'{"sagas": ["01931b3c-7a00-7abc-8def-0123456789ab"], "v": 2}', "unknown_version"),
        (b" " * (MAX_BYTES + 1), "oversized"),
    ],
)
def test_decode_hints__refuses_with_a_reason(body: bytes, reason: str) -> None:
    with pytest.raises(MessageDecodeError) as caught:
        decode_hints(body)

    assert caught.value.reason == reason


@given(st.one_of(st.binary(max_size=1200), st.binary(max_size=40).map(lambda x: b'{"saga":"' + x + b'","v":1}')))
def test_decode_hints__any_bytes_give_an_id_or_a_reason(body: bytes) -> None:
    try:
        answer: object = decode_hints(body)
    except MessageDecodeError as exc:
        answer = exc.reason

    assert answer
    assert isinstance(answer, str) or all(isinstance(saga_id, UUID) for saga_id in answer)


def test_decode_hints__a_refusal_does_not_repeat_the_body() -> None:
    with pytest.raises(MessageDecodeError) as caught:
        decode_hints(json.dumps({"saga": "card 4111", "v": 1}).encode())

    assert "4111" not in str(caught.value)


def test_decode_hints__random_ids_differ() -> None:
    first, second = uuid4(), uuid4()

    assert decode_hints(encode_hint(first)) != decode_hints(encode_hint(second))
