"""Token ids back to text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from electra.text.backend import no_panics
from electra.text.encode.tensors import plain
from electra.text.special_tokens import TokenTable, several

# pairs of a spelling with a space too many and the one without
CLEAN = {f" {mark}": mark for mark in (".", "?", "!", ",")}
CLEAN |= {" ' ": "'"} | {f" {ending}": ending for ending in ("n't", "'m", "'s", "'ve", "'re")}


class Decoder(TokenTable):
    """A token table that makes text of ids."""

    clean_up_tokenization_spaces = False

    def decode(
        self,
        token_ids: Any,
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool | None = None,
    ) -> Any:
        """The text of a row of ids (or of one id); a list of texts for a batch. Takes lists, arrays and tensors.

        Ids beyond the vocabulary are left out. `clean_up_tokenization_spaces` removes spaces before punctuation.
        Raises ValueError for what is no id.
        """
        ids = plain(token_ids["input_ids"] if isinstance(token_ids, Mapping) else token_ids)
        if isinstance(ids, list) and ids and isinstance(ids[0], list):
            return [self.decode(row, skip_special_tokens, clean_up_tokenization_spaces) for row in ids]
        row = ids if isinstance(ids, list) else [ids]
        wrong = [number for number in row if not isinstance(number, int) or number < 0]
        if wrong:
            raise ValueError(f"{wrong[0]!r} is not a token id; ids are whole numbers from 0 to {len(self) - 1}")
        with no_panics("decoding"):
            text = self._backend.decode(row, skip_special_tokens=skip_special_tokens)
        if clean_up_tokenization_spaces is None:
            clean_up_tokenization_spaces = self.clean_up_tokenization_spaces
        return self.clean_up_tokenization(text) if clean_up_tokenization_spaces else text

    def batch_decode(
        self,
        sequences: Any,
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool | None = None,
    ) -> list[str]:
        """The texts of several rows of ids."""
        texts = self.decode(sequences, skip_special_tokens, clean_up_tokenization_spaces)
        return [texts] if isinstance(texts, str) else texts

    def convert_tokens_to_string(self, tokens: Sequence[str]) -> str:
        """Tokens joined to a text, word pieces together."""
        decoder, pieces = self._backend.decoder, several("tokens", tokens)
        return " ".join(pieces) if decoder is None else decoder.decode(pieces)

    @staticmethod
    def clean_up_tokenization(text: str) -> str:
        """A text without the spaces before punctuation and English contractions."""
        for spaced, tight in CLEAN.items():
            text = text.replace(spaced, tight)
        return text

    @property
    def decoder(self) -> Any:
        """The `tokenizers.decoders.Decoder` that joins tokens."""
        return self._backend.decoder
