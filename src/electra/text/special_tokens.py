"""The tokens of a tokenizer and their ids: the vocabulary, added tokens, special tokens, and ids back to text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, overload

from tokenizers import AddedToken, Tokenizer

from electra.text.backend import set_template
from electra.text.decode import decode_ids
from electra.text.encode.call_options import as_list
from electra.validation import require_one_of

ROLES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
EXTRA = "extra_special_tokens"
EXTRA_BEFORE_V5 = "additional_special_tokens"


class Role:
    """The attribute `cls_token` and its like: a token that is in the vocabulary, or None."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, tokenizer: TokenTable, owner: type | None = None) -> str | None:
        return None if tokenizer is None else tokenizer._roles[self.name]

    def __set__(self, tokenizer: TokenTable, token: str | AddedToken | None) -> None:
        if token is not None and tokenizer.backend_tokenizer.token_to_id(str(token)) is None:
            raise ValueError(
                f"{self.name} is {str(token)!r}: it must be a token of the vocabulary; "
                f"add_special_tokens({{{self.name!r}: {str(token)!r}}}) adds it"
            )
        tokenizer._roles[self.name] = None if token is None else str(token)


class RoleId:
    """The attribute `cls_token_id` and its like: the id of the token with that role, or None."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name.removesuffix("_id")

    def __get__(self, tokenizer: TokenTable, owner: type | None = None) -> int | None:
        token = None if tokenizer is None else tokenizer._roles[self.name]
        return None if token is None else tokenizer.backend_tokenizer.token_to_id(token)

    def __set__(self, tokenizer: TokenTable, token_id: int | None) -> None:
        setattr(tokenizer, self.name, None if token_id is None else tokenizer.convert_ids_to_tokens(token_id))


class TokenTable:
    """Tokens and ids of a `tokenizers.Tokenizer`: the part of a tokenizer that does not handle text.

    Args:
        backend: the `tokenizers.Tokenizer`; it is changed, so pass a copy if it is used elsewhere.
        roles: a token or None for each name of ROLES; a name that is missing counts as None.
        extra: special tokens without a role; they are added if they are not in the vocabulary.

    Raises:
        ValueError: a token with a role is not in the vocabulary.
    """

    bos_token, eos_token, unk_token, sep_token = Role(), Role(), Role(), Role()
    pad_token, cls_token, mask_token = Role(), Role(), Role()
    bos_token_id, eos_token_id, unk_token_id, sep_token_id = RoleId(), RoleId(), RoleId(), RoleId()
    pad_token_id, cls_token_id, mask_token_id = RoleId(), RoleId(), RoleId()
    pad_token_type_id = 0
    clean_up_tokenization_spaces = False

    def __init__(
        self, backend: Tokenizer, roles: Mapping[str, str | AddedToken | None], extra: Iterable[str | AddedToken]
    ) -> None:
        self._backend = backend
        tokens = {role: roles.get(role) for role in ROLES}
        self._roles = {role: None if token is None else str(token) for role, token in tokens.items()}
        missing = [f"{token} ({role})" for role, token in self._roles.items() if token and not self._knows(token)]
        if missing:
            raise ValueError(
                f"the vocabulary has no {', '.join(missing)}. Add a line for each token, name the tokens that have "
                "these roles in this vocabulary (such as mask_token='<mask>'), or pass None to do without"
            )
        # only as special tokens of the backend are they found in text and skipped in decoding
        self._backend.add_special_tokens([_special(token) for token in tokens.values() if token is not None])
        self._extra: list[str] = []
        self._add_extra(list(extra))

    @property
    def backend_tokenizer(self) -> Tokenizer:
        """The `tokenizers.Tokenizer` that does the work; it neither pads nor truncates."""
        return self._backend

    @property
    def vocab_size(self) -> int:
        """The number of tokens without added ones."""
        return self._backend.get_vocab_size(with_added_tokens=False)

    def __len__(self) -> int:
        """The number of tokens including added ones: the rows that an embedding table needs."""
        return self._backend.get_vocab_size(with_added_tokens=True)

    def __bool__(self) -> bool:
        return True

    def get_vocab(self) -> dict[str, int]:
        """Token -> id, including added tokens."""
        return self._backend.get_vocab(with_added_tokens=True)

    @property
    def vocab(self) -> dict[str, int]:
        """`get_vocab()` as an attribute."""
        return self.get_vocab()

    @property
    def added_tokens_decoder(self) -> dict[int, AddedToken]:
        """Id -> token for those that are found in text before WordPiece runs: the special and the added ones."""
        return self._backend.get_added_tokens_decoder()

    @property
    def added_tokens_encoder(self) -> dict[str, int]:
        """`added_tokens_decoder` the other way round: token -> id."""
        return {token.content: number for number, token in sorted(self.added_tokens_decoder.items())}

    @property
    def special_tokens_map(self) -> dict[str, str]:
        """Role -> token, for the roles that are filled."""
        return {role: token for role, token in self._roles.items() if token is not None}

    @property
    def extra_special_tokens(self) -> list[str]:
        """Special tokens without a role."""
        return list(self._extra)

    @extra_special_tokens.setter
    def extra_special_tokens(self, tokens: Sequence[str | AddedToken]) -> None:
        self._refuse_unknown(EXTRA, tokens)
        self._extra = []
        self._add_extra(list(tokens))

    @property
    def extra_special_tokens_ids(self) -> list[int]:
        """The ids of `extra_special_tokens`."""
        return self.convert_tokens_to_ids(self._extra)

    @property
    def all_special_tokens(self) -> list[str]:
        """The special tokens with a role, then those without, each once."""
        return list(dict.fromkeys([*self.special_tokens_map.values(), *self._extra]))

    @property
    def all_special_ids(self) -> list[int]:
        """The ids of `all_special_tokens`."""
        return self.convert_tokens_to_ids(self.all_special_tokens)

    def add_tokens(
        self, new_tokens: str | AddedToken | Sequence[str | AddedToken], special_tokens: bool = False
    ) -> int:
        """Add tokens that are matched in text as a whole; their ids follow the last one.

        A model needs `resize_token_embeddings(len(tokenizer))` afterwards.

        Args:
            new_tokens: one or several.
            special_tokens: they are special: skipped in decoding, never split.

        Returns:
            How many were new.
        """
        tokens = [new_tokens] if isinstance(new_tokens, (str, AddedToken)) else as_list("new_tokens", new_tokens)
        wrong = [token for token in tokens if not isinstance(token, (str, AddedToken)) or not str(token)]
        if wrong:
            raise ValueError(
                f"{wrong[0]!r} cannot be a token: it must be a non-empty string or a tokenizers.AddedToken"
            )
        add = self._backend.add_special_tokens if special_tokens else self._backend.add_tokens
        return add(tokens)

    def add_special_tokens(
        self,
        special_tokens_dict: Mapping[str, str | AddedToken | Sequence[str | AddedToken]],
        replace_extra_special_tokens: bool = True,
        replace_additional_special_tokens: bool | None = None,
    ) -> int:
        """Give tokens a role, or make them special without one, adding those that are not in the vocabulary.

        Args:
            special_tokens_dict: `{"mask_token": "<mask>"}` for a role, `{"extra_special_tokens": [...]}` without.
            replace_extra_special_tokens: drop the extra special tokens that there were.
            replace_additional_special_tokens: its name before transformers 5.

        Returns:
            How many tokens were added to the vocabulary.
        """
        size = len(self)
        if replace_additional_special_tokens is not None:
            replace_extra_special_tokens = replace_additional_special_tokens
        for name, value in special_tokens_dict.items():
            role = EXTRA if name == EXTRA_BEFORE_V5 else name
            require_one_of("special token", role, (*ROLES, EXTRA))
            if role == EXTRA:
                if isinstance(value, (str, AddedToken)):
                    raise ValueError(f"{name} is {str(value)!r}: it must be a list of tokens")
                self._add_extra(list(value), replace=replace_extra_special_tokens)
            elif isinstance(value, (str, AddedToken)):
                self._backend.add_special_tokens([_special(value)])
                setattr(self, role, value)
            else:
                raise ValueError(f"{role} is {value!r}: it must be one token")
        self._update_template(special_tokens_dict)
        return len(self) - size

    @overload
    def convert_tokens_to_ids(self, tokens: str) -> int: ...  # type: ignore[overload-overlap]
    @overload
    def convert_tokens_to_ids(self, tokens: Sequence[str]) -> list[int]: ...
    def convert_tokens_to_ids(self, tokens: str | Sequence[str]) -> int | list[int]:
        """The id of a token or of each of several; the unknown token's for one that is not in the vocabulary."""
        if isinstance(tokens, str):
            return self._id(tokens)
        return [self._id(token) for token in as_list("tokens", tokens)]

    @overload
    def convert_ids_to_tokens(self, ids: int, skip_special_tokens: bool = False) -> str: ...
    @overload
    def convert_ids_to_tokens(self, ids: Iterable[int], skip_special_tokens: bool = False) -> list[str]: ...
    def convert_ids_to_tokens(self, ids: int | Iterable[int], skip_special_tokens: bool = False) -> Any:
        """The token of an id or of each of several; None for an id beyond the vocabulary."""
        if isinstance(ids, int):
            return self._token(ids)
        skipped = set(self.all_special_ids) if skip_special_tokens else set()
        return [self._token(int(number)) for number in as_list("ids", ids) if int(number) not in skipped]

    def decode(
        self,
        token_ids: Any,
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool | None = None,
    ) -> Any:
        """The text of a row of ids (or of one id); a list of texts for a batch.

        Args:
            token_ids: lists, arrays or tensors of ids. Ids beyond the vocabulary are left out.
            skip_special_tokens: leave special tokens out.
            clean_up_tokenization_spaces: remove spaces before punctuation. Default: the tokenizer's.

        Raises:
            ValueError: something is no id.
        """
        clean = (
            self.clean_up_tokenization_spaces if clean_up_tokenization_spaces is None else clean_up_tokenization_spaces
        )
        return decode_ids(self._backend, token_ids, skip_special_tokens=skip_special_tokens, clean_up=clean)

    def batch_decode(
        self,
        sequences: Any,
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool | None = None,
    ) -> list[str]:
        """The texts of several rows of ids; see `decode`."""
        texts = self.decode(sequences, skip_special_tokens, clean_up_tokenization_spaces)
        return [texts] if isinstance(texts, str) else texts

    def convert_tokens_to_string(self, tokens: Sequence[str]) -> str:
        """Tokens joined to a text, word pieces together."""
        decoder, pieces = self._backend.decoder, as_list("tokens", tokens)
        return " ".join(pieces) if decoder is None else decoder.decode(pieces)

    @property
    def decoder(self) -> Any:
        """The `tokenizers.decoders.Decoder` that joins tokens."""
        return self._backend.decoder

    def _id(self, token: str) -> int:
        if not isinstance(token, str):
            raise ValueError(f"{token!r} is not a token: it must be a string")
        number = self._backend.token_to_id(token)
        return self.unk_token_id if number is None else number  # type: ignore[return-value]

    def _token(self, number: int) -> Any:
        if number < 0:
            raise ValueError(f"{number} is not a token id: it must be from 0 to {len(self) - 1}")
        return self._backend.id_to_token(number)

    def _ids_of(self, role: str) -> list[int]:
        token = self._roles[role]
        return [] if token is None else [self._id(token)]

    def _knows(self, token: str) -> bool:
        return self._backend.token_to_id(token) is not None

    def _refuse_unknown(self, name: str, tokens: Sequence[str | AddedToken]) -> None:
        for token in as_list(name, tokens):
            if not self._knows(str(token)):
                raise ValueError(
                    f"{name} holds {str(token)!r}, which is not in the vocabulary; "
                    f"add_special_tokens({{{name!r}: [{str(token)!r}]}}) adds it"
                )

    def _add_extra(self, tokens: list[str | AddedToken], *, replace: bool = False) -> None:
        self.add_tokens([_special(token) for token in tokens], special_tokens=True)
        before = [] if replace and tokens else self._extra
        self._extra = list(dict.fromkeys([*before, *map(str, tokens)]))

    def _update_template(self, changed: Iterable[str]) -> None:
        if {"cls_token", "sep_token"} & set(changed):
            set_template(self._backend, self.cls_token, self.sep_token)


def check_embeddings(tokenizer: Any, embeddings: int) -> None:
    """Refuse a tokenizer with tokens that a network has no embedding for.

    Args:
        tokenizer: ElectraTokenizer, or another with `__len__` and `get_vocab`.
        embeddings: how many token embeddings the network has (`config.vocab_size`).

    Raises:
        ValueError: the message names the first such token, and what to do.
    """
    if not hasattr(tokenizer, "get_vocab") or len(tokenizer) <= embeddings:
        return
    beyond = sorted((number, token) for token, number in tokenizer.get_vocab().items() if number >= embeddings)
    if beyond:
        number, token = beyond[0]
        others = f" and {len(beyond) - 1} more" if len(beyond) > 1 else ""
        raise ValueError(
            f"the tokenizer has {len(tokenizer):,} tokens and the network {embeddings:,} token embeddings: {token!r} "
            f"(id {number}){others} has none. Use the tokenizer that was saved with the model, or call "
            f"model.resize_token_embeddings({len(tokenizer)}) and train the new embeddings"
        )


def _special(token: str | AddedToken) -> AddedToken:
    """A special token as transformers marks it: found in the text before normalization."""
    return token if isinstance(token, AddedToken) else AddedToken(token, special=True, normalized=False)
