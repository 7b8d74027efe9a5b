"""Random text through our tokenizer and transformers': the same ids and offsets."""

from __future__ import annotations

import random
from pathlib import Path

import transformers

from electra import ElectraTokenizer
from tests.fuzz.driver import Broken, Case
from tests.fuzz.hostile import encodable
from tests.tasks.tiny import VOCABULARY


def prepare(shared: Path) -> Case:
    """One vocabulary, in folders with and without casing and accents."""
    pairs = []
    for number, options in enumerate([{}, {"do_lower_case": False}, {"strip_accents": False}]):
        folder = shared / str(number)
        vocabulary = {token: i for i, token in enumerate(VOCABULARY)}
        theirs = transformers.ElectraTokenizerFast(vocab=vocabulary, **options)
        theirs.save_pretrained(folder)
        pairs.append((ElectraTokenizer.from_pretrained(folder), theirs))

    def case(random: random.Random, folder: Path) -> str:
        ours, theirs = random.choice(pairs)
        text = encodable(random, 10)
        options = random.choice([{}, {"truncation": True, "max_length": random.randint(2, 30)}])
        mine = ours(text, return_offsets_mapping=True, **options)
        other = theirs(text, return_offsets_mapping=True, **options)
        for name in ("input_ids", "token_type_ids", "attention_mask", "offset_mapping"):
            if [list(x) if isinstance(x, tuple) else x for x in mine[name]] != [
                list(x) if isinstance(x, tuple) else x for x in other[name]
            ]:
                raise Broken(f"{name} of {text!r}: {mine[name]} here, {other[name]} there")
        return "equal"

    return case
