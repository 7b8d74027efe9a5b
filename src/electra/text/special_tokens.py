"""The tokens of a tokenizer and their ids: the vocabulary, what was added to it, and the tokens with a role."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, overload

from tokenizers import AddedToken, Tokenizer

from electra.text.backend import set_template
from electra.text.encode.truncation import choice

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
                f"{self.name}={str(token)!r} is not in the vocabulary; "
                f"say add_special_tokens({{{self.name!r}: {str(token)!r}}}) to add it"
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
    """Tokens and ids of a `tokenizers.Tokenizer`; the part of a tokenizer that knows no text."""

    bos_token, eos_token, unk_token, sep_token = Role(), Role(), Role(), Role()
    pad_token, cls_token, mask_token = Role(), Role(), Role()
    bos_token_id, eos_token_id, unk_token_id, sep_token_id = RoleId(), RoleId(), RoleId(), RoleId()
    pad_token_id, cls_token_id, mask_token_id = RoleId(), RoleId(), RoleId()
    pad_token_type_id = 0

    def __init__(
        self, backend: Tokenizer, roles: Mapping[str, str | AddedToken | None], extra: Iterable[str | AddedToken]
    ) -> None:
        """`roles` by name; every token of them must be in the vocabulary or be added already.

        Raises ValueError naming those that are not.
        """
        self._backend = backend
        given = {role: roles.get(role) for role in ROLES}
        self._roles = {role: None if token is None else str(token) for role, token in given.items()}
        missing = [f"{token} ({role})" for role, token in self._roles.items() if token and not self._knows(token)]
        if missing:
            raise ValueError(
                f"the vocabulary has no {', '.join(missing)}. Add a line for each token, name the tokens that have "
                "these roles in this vocabulary (such as mask_token='<mask>'), or say None to do without"
            )
        # decoding leaves them out, and they are found in text, only where the backend knows them as special
        self._backend.add_special_tokens([_special(token) for token in given.values() if token is not None])
        self._extra: list[str] = []
        self._add_extra(list(extra))

    @property
    def backend_tokenizer(self) -> Tokenizer:
        """The `tokenizers.Tokenizer` that does the work; it neither pads nor truncates."""
        return self._backend

    @property
    def vocab_size(self) -> int:
        """The number of tokens without those that were added."""
        return self._backend.get_vocab_size(with_added_tokens=False)

    def __len__(self) -> int:
        """The number of tokens with those that were added: the rows that an embedding table needs."""
        return self._backend.get_vocab_size(with_added_tokens=True)

    def __bool__(self) -> bool:
        return True

    def get_vocab(self) -> dict[str, int]:
        """Token -> id, with the tokens that were added."""
        return self._backend.get_vocab(with_added_tokens=True)

    @property
    def vocab(self) -> dict[str, int]:
        return self.get_vocab()

    @property
    def added_tokens_decoder(self) -> dict[int, AddedToken]:
        """Id -> token for those that are found in text before WordPiece sees it: the special and the added ones."""
        return self._backend.get_added_tokens_decoder()

    @property
    def added_tokens_encoder(self) -> dict[str, int]:
        return {token.content: number for number, token in sorted(self.added_tokens_decoder.items())}

    def get_added_vocab(self) -> dict[str, int]:
        """`added_tokens_encoder` under its older name."""
        return self.added_tokens_encoder

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
        return self.convert_tokens_to_ids(self._extra)

    @property
    def additional_special_tokens(self) -> list[str]:
        """`extra_special_tokens` under the name that it had before transformers 5."""
        return self.extra_special_tokens

    @additional_special_tokens.setter
    def additional_special_tokens(self, tokens: Sequence[str | AddedToken]) -> None:
        self.extra_special_tokens = tokens

    @property
    def additional_special_tokens_ids(self) -> list[int]:
        return self.extra_special_tokens_ids

    @property
    def all_special_tokens(self) -> list[str]:
        return list(dict.fromkeys([*self.special_tokens_map.values(), *self._extra]))

    @property
    def all_special_ids(self) -> list[int]:
        return self.convert_tokens_to_ids(self.all_special_tokens)

    @property
    def special_tokens_map_extended(self) -> dict[str, AddedToken | list[AddedToken]]:
        """`special_tokens_map` of before transformers 5: how each token is found in text, too."""
        roles = zip(self.special_tokens_map, self._described(self.special_tokens_map.values()), strict=True)
        return {**dict(roles), **({EXTRA_BEFORE_V5: self._described(self._extra)} if self._extra else {})}

    @property
    def all_special_tokens_extended(self) -> list[AddedToken]:
        """`all_special_tokens` of before transformers 5: how each token is found in text, too."""
        return self._described(self.all_special_tokens)

    def add_tokens(
        self, new_tokens: str | AddedToken | Sequence[str | AddedToken], special_tokens: bool = False
    ) -> int:
        """Add tokens that are found in text whole, with ids after the last; returns how many were new.

        A model needs `resize_token_embeddings(len(tokenizer))` afterwards.
        """
        tokens = [new_tokens] if isinstance(new_tokens, (str, AddedToken)) else several("tokens", new_tokens)
        wrong = [token for token in tokens if not isinstance(token, (str, AddedToken)) or not str(token)]
        if wrong:
            raise ValueError(f"{wrong[0]!r} cannot be a token; give non-empty strings or tokenizers.AddedToken")
        add = self._backend.add_special_tokens if special_tokens else self._backend.add_tokens
        return add(tokens)

    def add_special_tokens(
        self,
        special_tokens_dict: Mapping[str, str | AddedToken | Sequence[str | AddedToken]],
        replace_extra_special_tokens: bool = True,
        replace_additional_special_tokens: bool | None = None,
    ) -> int:
        """Give tokens a role (`{"mask_token": "<mask>"}`) or make them special without one (`extra_special_tokens`,
        a list), adding those that are not in the vocabulary; returns how many were added.

        `replace_extra_special_tokens` False: special tokens without a role that there were stay; the other keyword is
        its name before transformers 5.
        """
        size = len(self)
        if replace_additional_special_tokens is not None:
            replace_extra_special_tokens = replace_additional_special_tokens
        for name, value in special_tokens_dict.items():
            role = choice("special token", EXTRA if name == EXTRA_BEFORE_V5 else name, (*ROLES, EXTRA))
            if role == EXTRA:
                if isinstance(value, (str, AddedToken)):
                    raise ValueError(f"{name} must be a list of tokens, not the single token {str(value)!r}")
                self._add_extra(list(value), replace=replace_extra_special_tokens)
            elif isinstance(value, (str, AddedToken)):
                self._backend.add_special_tokens([_special(value)])
                setattr(self, role, value)
            else:
                raise ValueError(f"{role} must be one token, not {value!r}")
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
        return [self._id(token) for token in several("tokens", tokens)]

    @overload
    def convert_ids_to_tokens(self, ids: int, skip_special_tokens: bool = False) -> str: ...
    @overload
    def convert_ids_to_tokens(self, ids: Iterable[int], skip_special_tokens: bool = False) -> list[str]: ...
    def convert_ids_to_tokens(self, ids: int | Iterable[int], skip_special_tokens: bool = False) -> Any:
        """The token of an id or of each of several; None for an id that is beyond the vocabulary."""
        if isinstance(ids, int):
            return self._token(ids)
        skipped = set(self.all_special_ids) if skip_special_tokens else set()
        return [self._token(int(number)) for number in several("ids", ids) if int(number) not in skipped]

    def _id(self, token: str) -> int:
        if not isinstance(token, str):
            raise ValueError(f"{token!r} is not a token; tokens are strings")
        number = self._backend.token_to_id(token)
        return self.unk_token_id if number is None else number  # type: ignore[return-value]

    def _token(self, number: int) -> Any:
        if number < 0:
            raise ValueError(f"{number} is not a token id; ids go from 0 to {len(self) - 1}")
        return self._backend.id_to_token(number)

    def _ids_of(self, role: str) -> list[int]:
        token = self._roles[role]
        return [] if token is None else [self._id(token)]

    def _knows(self, token: str) -> bool:
        return self._backend.token_to_id(token) is not None

    def _described(self, tokens: Iterable[str]) -> list[AddedToken]:
        known = {token.content: token for token in self.added_tokens_decoder.values()}
        return [known.get(token, AddedToken(token)) for token in tokens]  # a role may be an ordinary token's

    def _refuse_unknown(self, name: str, tokens: Sequence[str | AddedToken]) -> None:
        for token in several(name, tokens):
            if not self._knows(str(token)):
                raise ValueError(
                    f"{name}: {str(token)!r} is not in the vocabulary; "
                    f"say add_special_tokens({{{name!r}: [{str(token)!r}]}}) to add it"
                )

    def _add_extra(self, tokens: list[str | AddedToken], *, replace: bool = False) -> None:
        self.add_tokens([_special(token) for token in tokens], special_tokens=True)
        kept = [] if replace and tokens else self._extra
        self._extra = list(dict.fromkeys([*kept, *map(str, tokens)]))

    def _update_template(self, changed: Iterable[str]) -> None:
        if {"cls_token", "sep_token"} & set(changed):
            set_template(self._backend, self.cls_token, self.sep_token)


def several(what: str, values: Any) -> list[Any]:
    """A list, tuple, array or other iterable as a list; ValueError for what is none, or is one string."""
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise ValueError(f"{what} must be a list, not {values!r:.60}")
    return list(values)


def _special(token: str | AddedToken) -> AddedToken:
    """As transformers marks them: found in the text as it was written, not as it is normalized."""
    return token if isinstance(token, AddedToken) else AddedToken(token, special=True, normalized=False)
