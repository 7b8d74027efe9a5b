"""Properties that hold for every text, whatever characters it has."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from electra.text.encode.batch_encoding import BatchEncoding
from electra.text.tokenizer import ElectraTokenizer
from electra.text.training.vocabulary import train_vocabulary

from .conftest import reference_of
from .languages import CHINESE, GERMAN, TURKISH
from .nasty import TEXTS, TRAINING
from .test_parity import assert_same

POOL = [*TEXTS, *GERMAN, *CHINESE, *TURKISH, *TRAINING]
FRAGMENTS = [
    *sorted({word for text in POOL for word in text.split()}),
    *(
        "[MASK]",
        "[SEP]",
        "[mask]",
        " ",
        "\t",
        "\u3000",
        "\u00a0",
        "\x00",
        "\x85",
        "\u200d",
        "\ufe0f",
        "\u202e",
        "\ue000",
    ),
    *(
        "e\u0301\u0323",
        "\u0301",
        "ⴥ",
        "ﬃ",
        "한",
        "각",
        "≮",
        "\u212b",
        "\u037e",
        "\U0002f800",
        "👩\u200d👩\u200d👧",
        "שָׁלוֹם",
    ),
]
character = st.characters(exclude_categories=["Cs"])
text = st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.just(" "), st.text(character, max_size=6)), max_size=12).map(
    "".join
)
known_text = st.lists(st.sampled_from([*FRAGMENTS, " ", " "]), max_size=16).map("".join)
property_test = settings(max_examples=120, deadline=None, derandomize=True, database=None)

CASINGS = {"uncased": {}, "cased": {"lowercase": False}, "accents-kept": {"strip_accents": False}}


@pytest.fixture(scope="module", params=CASINGS)
def tokenizer(request: pytest.FixtureRequest) -> ElectraTokenizer:
    """Knows every character of the fragments, so that few of their words are unknown."""
    return train_vocabulary(
        [*POOL, *FRAGMENTS], size=2500, min_frequency=1, max_characters=2000, **CASINGS[request.param]
    )


def tokens_of(encoded: BatchEncoding, row: int = 0) -> list[tuple[int, str, tuple[int, int]]]:
    """The text of the pair, the token and its characters, for every token that comes from a text."""
    encoding = encoded[row]
    tokens = zip(encoding.sequence_ids, encoding.tokens, encoding.offsets, strict=True)
    return [(sequence, token, span) for sequence, token, span in tokens if sequence is not None]


def test_the_same_as_transformers(tokenizer: ElectraTokenizer) -> None:
    flags = {"do_lower_case": bool(tokenizer.do_lower_case), "strip_accents": tokenizer.strip_accents}
    theirs = reference_of(tokenizer.get_vocab(), **flags)

    @property_test
    @given(text, text)
    def check(one: str, two: str) -> None:
        options = {"return_offsets_mapping": True, "return_special_tokens_mask": True, "padding": True}
        ours = tokenizer([one, two], [two, one], **options)
        assert_same(ours, theirs([one, two], [two, one], **options))
        assert tokenizer.decode(ours["input_ids"][0]) == theirs.decode(ours["input_ids"][0])

    check()


def test_offsets_are_those_of_the_text(tokenizer: ElectraTokenizer) -> None:
    """The characters of a token, normalized, are the token; where one character gives several tokens (ŉ, or Hangul
    without accents), they hold the token."""
    normalize = tokenizer.backend_tokenizer.normalizer.normalize_str

    @property_test
    @given(known_text | text)
    def check(one: str) -> None:
        encoded = tokenizer(one)
        assert encoded[0].offsets[0] == encoded[0].offsets[-1] == (0, 0)
        tokens = tokens_of(encoded)
        spans = [span for _, _, span in tokens]
        assert all(0 <= start < end <= len(one) for start, end in spans)
        assert spans == sorted(spans)
        for number, (_, token, (start, end)) in enumerate(tokens):
            beside = [*spans[max(number - 1, 0) : number], *spans[number + 1 : number + 2]]
            if token == "[UNK]":
                continue
            body, covered = token.removeprefix("##"), one[start:end]
            if token in tokenizer.all_special_tokens:
                assert covered == token
            elif all(other[1] <= start or end <= other[0] for other in beside):
                assert normalize(covered).strip() == body
            else:
                assert body in normalize(covered)

    check()


def test_decoding_and_encoding_again_changes_nothing(tokenizer: ElectraTokenizer) -> None:
    """Where no token is unknown: all that decoding loses is what normalizing and the spaces between words took."""
    known = []

    @property_test
    @given(known_text)
    def check(one: str) -> None:
        ids = tokenizer.encode(one, add_special_tokens=False)
        again = tokenizer.decode(ids)
        if tokenizer.unk_token_id not in ids:
            known.append(len(ids))
            assert tokenizer.encode(again, add_special_tokens=False) == ids
            if "[" not in one:  # a text may hold special tokens of its own
                assert tokenizer.decode(tokenizer.encode(one), skip_special_tokens=True) == again

    check()
    assert sum(known) > 300  # most of these words are known


def test_tokens_words_and_characters_agree(tokenizer: ElectraTokenizer) -> None:
    @property_test
    @given(known_text | text, known_text)
    def check(one: str, two: str) -> None:
        encoded = tokenizer([(one, two)])
        words, spans = encoded.word_ids(), encoded[0].offsets
        for sequence, string in enumerate((one, two)):
            members = [at for at, number in enumerate(encoded.sequence_ids()) if number == sequence]
            numbers = [words[at] for at in members]
            assert numbers == sorted(numbers)
            assert set(numbers) == set(range(len(set(numbers))))
            for number, group in itertools.groupby(members, key=words.__getitem__):
                tokens = list(group)
                assert encoded.word_to_tokens(0, number, sequence) == (tokens[0], tokens[-1] + 1)
                start, end = spans[tokens[0]][0], spans[tokens[-1]][1]
                assert encoded.word_to_chars(0, number, sequence) == (start, end)
                assert all(encoded.token_to_chars(0, at) == spans[at] for at in tokens)
                assert all(encoded.token_to_sequence(0, at) == sequence for at in tokens)
            for place in range(len(string)):
                covering = [at for at in members if spans[at][0] <= place < spans[at][1]]
                assert encoded.char_to_token(0, place, sequence) == (covering[0] if covering else None)
                assert encoded.char_to_word(0, place, sequence) == (words[covering[0]] if covering else None)

    check()


@pytest.mark.parametrize("side", ["right", "left"])
def test_windows_hold_every_token_and_overlap_by_the_stride(tokenizer: ElectraTokenizer, side: str) -> None:
    copy = ElectraTokenizer(tokenizer_object=tokenizer.backend_tokenizer, truncation_side=side)

    @property_test
    @given(known_text, st.integers(3, 12), st.data())
    def check(one: str, length: int, data: st.DataObject) -> None:
        room = length - 2
        stride = data.draw(st.integers(0, room - 1))
        encoded = copy(one, truncation=True, max_length=length, stride=stride, return_overflowing_tokens=True)
        whole = tokens_of(copy(one))
        windows = [tokens_of(encoded, row) for row in range(len(encoded["input_ids"]))]
        if side == "left":
            windows.reverse()
        assert all(len(row) <= length for row in encoded["input_ids"])
        joined = list(windows[0])
        for before, after in itertools.pairwise(windows):
            assert before[len(before) - stride :] == after[:stride]
            joined += after[stride:]
        assert joined == whole
        assert len(windows) == 1 + max(0, -(-(len(whole) - room) // (room - stride)))

    check()


@pytest.mark.parametrize("truncation", ["longest_first", "only_first", "only_second"])
def test_windows_of_pairs_hold_every_token(tokenizer: ElectraTokenizer, truncation: str) -> None:
    @property_test
    @given(known_text, known_text, st.integers(5, 16), st.integers(0, 3))
    def check(one: str, two: str, length: int, stride: int) -> None:
        whole = tokens_of(tokenizer([(one, two)]))
        options = {"truncation": truncation, "max_length": length, "return_overflowing_tokens": True}
        stays = {"only_first": [1], "only_second": [0]}.get(truncation, [])
        kept = sum(sequence in stays for sequence, _, _ in whole)
        if len(whole) + 3 > length and kept + 3 >= length:
            with pytest.raises(ValueError, match="cannot cut that many"):
                tokenizer([(one, two)], stride=min(stride, length - 4), **options)
            return
        encoded = tokenizer([(one, two)], stride=min(stride, length - 4), **options)
        assert all(len(row) <= length for row in encoded["input_ids"])
        tokens = [token for row in range(len(encoded["input_ids"])) for token in tokens_of(encoded, row)]
        assert set(tokens) == set(whole)

    check()


def test_padding_adds_padding_alone(tokenizer: ElectraTokenizer) -> None:
    texts = st.lists(st.tuples(text, text) | known_text.map(lambda one: (one, "")), min_size=1, max_size=4)

    @property_test
    @given(texts, st.sampled_from(["left", "right"]), st.sampled_from([None, 8]), st.booleans())
    def check(pairs: list[tuple[str, str]], side: str, multiple: int | None, cut: bool) -> None:
        options = {"truncation": cut, "max_length": 16 if cut else None, "return_special_tokens_mask": True}
        singles = [tokenizer([pair], **options) for pair in pairs]
        batch = tokenizer(pairs, padding=True, padding_side=side, pad_to_multiple_of=multiple, **options)
        rows = [{name: column[0] for name, column in single.items()} for single in singles]
        longest = max(len(row["input_ids"]) for row in rows)
        length = -(-longest // multiple) * multiple if multiple else longest
        fillers = {"input_ids": 0, "token_type_ids": 0, "attention_mask": 0, "special_tokens_mask": 1}
        for name, filler in fillers.items():
            filled = [[filler] * (length - len(row[name])) for row in rows]
            order = [
                (row[name], fill) if side == "right" else (fill, row[name])
                for row, fill in zip(rows, filled, strict=True)
            ]
            assert batch[name] == [[*before, *after] for before, after in order]
        assert dict(tokenizer.pad(rows, padding_side=side, pad_to_multiple_of=multiple)) == dict(batch)

    check()


def test_a_batch_is_its_texts(tokenizer: ElectraTokenizer) -> None:
    @property_test
    @given(st.lists(text, max_size=5))
    def check(texts: list[str]) -> None:
        singles = [tokenizer(one, return_offsets_mapping=True) for one in texts]
        batch = tokenizer(texts, return_offsets_mapping=True)
        assert all(list(column) == [single[name] for single in singles] for name, column in batch.items())
        assert [batch.word_ids(row) for row in range(len(texts))] == [single.word_ids() for single in singles]

    check()


@property_test
@given(text, st.characters(categories=["Cs"]), text)
def test_half_a_character_is_an_error_that_says_where(before: str, half: str, after: str) -> None:
    tokenizer = ElectraTokenizer()
    with pytest.raises(ValueError, match=f"row 1, character {len(before)}: .* lone surrogate"):
        tokenizer(["fine", before + half + after])
