"""ElectraTokenizer: text to token ids and back, called as transformers' tokenizers are."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Self

from tokenizers import AddedToken, Encoding, Tokenizer

from electra.files.atomic import write_text
from electra.hub.hub_names import Location
from electra.hub.push import Pushed
from electra.text import backend as backends
from electra.text.backend import Casing
from electra.text.compat.absent import explain
from electra.text.compat.assembling import Assembler
from electra.text.encode.columns import Wanted, pad_encodings, to_columns, windows_of
from electra.text.encode.encoding import BatchEncoding
from electra.text.encode.overflow import Cut, encode_rows
from electra.text.encode.padding import Padding
from electra.text.encode.row_building import as_rows, each_text
from electra.text.encode.truncation import NO_LIMIT, SIDES, choice, whole_number
from electra.text.special_tokens import ROLES
from electra.text.tokenizer_folder import OPTIONS, VOCABULARY, load_backend, read_folder, write_folder
from electra.text.training.vocabulary_training import Learning, relearn
from electra.text.vocab_file import as_vocabulary, vocabulary_text

logger = logging.getLogger("electra")


class ElectraTokenizer(Pushed, Assembler):
    """BERT's WordPiece tokenizer over the `tokenizers` library, with transformers 5.23's call surface.

    One tokenizer may be used from several threads.
    """

    vocab_files_names: ClassVar[dict[str, str]] = {"vocab_file": "vocab.txt", "tokenizer_file": "tokenizer.json"}
    is_fast = True

    def __init__(
        self,
        vocab: str | Path | Mapping[str, int] | Sequence[str] | None = None,
        do_lower_case: bool | None = None,
        unk_token: str | AddedToken = "[UNK]",
        sep_token: str | AddedToken | None = "[SEP]",
        pad_token: str | AddedToken | None = "[PAD]",
        cls_token: str | AddedToken | None = "[CLS]",
        mask_token: str | AddedToken | None = "[MASK]",
        tokenize_chinese_chars: bool | None = None,
        strip_accents: bool | None = None,
        *,
        vocab_file: str | Path | None = None,
        tokenizer_file: str | Path | None = None,
        tokenizer_object: Tokenizer | None = None,
        compose_accents: bool | None = None,
        bos_token: str | AddedToken | None = None,
        eos_token: str | AddedToken | None = None,
        extra_special_tokens: Iterable[str | AddedToken] = (),
        additional_special_tokens: Iterable[str | AddedToken] = (),
        model_max_length: int | None = None,
        padding_side: str | None = None,
        truncation_side: str | None = None,
        model_input_names: Iterable[str] | None = None,
        clean_up_tokenization_spaces: bool = False,
        split_special_tokens: bool = False,
        name_or_path: str | Path = "",
    ) -> None:
        """Build a tokenizer from one of: a vocabulary (the path of a vocab.txt, tokens in order, or token -> id), a
        tokenizer.json, or a `tokenizers.Tokenizer` (which is copied). From none of them: the five special tokens alone.

        `do_lower_case` (default True), `tokenize_chinese_chars` (default True), `strip_accents` (default: when
        lower-casing) and `compose_accents` (default False; NFC first, which BERT does not do) change a tokenizer.json
        only where they are given. A special token that is None is done without. `model_max_length` is in tokens.

        Raises ValueError for a vocabulary without one of the special tokens, with a token twice, empty or not UTF-8.
        """
        files = {"vocab_file": vocab_file, "tokenizer_file": tokenizer_file}
        sources = {"vocab": vocab, **files, "tokenizer_object": tokenizer_object}
        given = [name for name, source in sources.items() if source is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} say the same thing; give one of them")
        changes = {
            "lowercase": do_lower_case,
            "strip_accents": strip_accents,
            "chinese_chars": tokenize_chinese_chars,
            "compose_accents": compose_accents,
        }
        if tokenizer_object is not None or tokenizer_file is not None:
            backend = load_backend(tokenizer_object, tokenizer_file)
            backends.change_casing(backend, **changes)
        else:
            casing = Casing(**{name: value for name, value in changes.items() if value is not None})
            tokens = as_vocabulary(vocab if vocab_file is None else vocab_file)
            backend = backends.build_backend(tokens, casing, str(unk_token))
        roles = dict(
            zip(ROLES, (bos_token, eos_token, unk_token, sep_token, pad_token, cls_token, mask_token), strict=True)
        )
        super().__init__(backend, roles, [*extra_special_tokens, *additional_special_tokens])
        if backend.post_processor is None:
            backends.set_template(backend, self.cls_token, self.sep_token)
        self.padding_side = choice("padding_side", padding_side or _side(backend.padding), SIDES)
        self.truncation_side = choice("truncation_side", truncation_side or _side(backend.truncation), SIDES)
        backend.no_padding()
        backend.no_truncation()
        self.model_max_length = NO_LIMIT if model_max_length is None else model_max_length
        self.model_input_names = list(model_input_names or type(self).model_input_names)
        self.clean_up_tokenization_spaces = clean_up_tokenization_spaces
        self.split_special_tokens = split_special_tokens
        self.name_or_path = str(name_or_path)
        self._said_too_long = False
        self._lock = threading.Lock()  # truncation is a setting of the backend, not of one call to it

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        subfolder: str = "",
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        token: str | bool | None = None,
        local_files_only: bool = False,
        force_download: bool = False,
        use_fast: bool = True,
        trust_remote_code: bool = False,
        **settings: Any,
    ) -> Self:
        """The tokenizer of a folder or of a repository on the Hugging Face Hub, or of one vocab.txt or tokenizer.json.

        A tokenizer.json counts before the flags in tokenizer_config.json; with a vocab.txt alone and no flags, casing
        is inferred from the vocabulary and a warning says so. `settings` are keywords of the constructor and
        override the files. `use_fast` and `trust_remote_code` change nothing: there is one implementation, and no code
        is read from folders.
        Raises OSError when there is no vocabulary, ValueError naming a damaged file.
        """
        location = Location(
            subfolder=subfolder,
            revision=revision,
            cache_dir=cache_dir,
            token=token,
            local_files_only=local_files_only,
            force_download=force_download,
        )
        backend, stated = read_folder(pretrained_model_name_or_path, settings, **location)
        settings = {"name_or_path": pretrained_model_name_or_path, **stated, **settings}
        return cls(tokenizer_object=backend, **settings)

    @property
    def casing(self) -> Casing | None:
        """What happens to characters first; None when a tokenizer.json does it in a way that is not BERT's."""
        return backends.casing_of(self._backend)

    @property
    def do_lower_case(self) -> bool | None:
        return self.casing.lowercase if self.casing else None

    @property
    def strip_accents(self) -> bool | None:
        return self.casing.strip_accents if self.casing else None

    @property
    def tokenize_chinese_chars(self) -> bool | None:
        return self.casing.chinese_chars if self.casing else None

    def fingerprint(self) -> str:
        """SHA-256, in hex, of everything that decides which ids a text gets; equal for equal tokenizers."""
        return backends.fingerprint(self._backend, self.special_tokens_map)

    def __call__(
        self,
        text: Any = None,
        text_pair: Any = None,
        text_target: Any = None,
        text_pair_target: Any = None,
        add_special_tokens: bool = True,
        padding: bool | str | None = False,
        truncation: bool | str | None = None,
        max_length: int | None = None,
        stride: int = 0,
        is_split_into_words: bool = False,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_tensors: str | None = None,
        return_token_type_ids: bool | None = None,
        return_attention_mask: bool | None = None,
        return_overflowing_tokens: bool = False,
        return_special_tokens_mask: bool = False,
        return_offsets_mapping: bool = False,
        return_length: bool = False,
        verbose: bool = True,
        tokenizer_kwargs: Mapping[str, Any] | None = None,
        *,
        split_special_tokens: bool | None = None,
    ) -> BatchEncoding:
        """Encode a text, a pair, or a batch (a list) of either.

        - `padding`: True or "longest" of the batch, "max_length", False or "do_not_pad"; `pad_to_multiple_of` tokens.
        - `truncation`: True or "longest_first", "only_first", "only_second", False or "do_not_truncate"; `max_length`
          in tokens with the special ones, by default the model's. A `max_length` alone truncates.
        - `return_overflowing_tokens`: what is cut off becomes further rows, which share `stride` tokens (fewer where a
          window of a pair is not longer than that); `overflow_to_sample_mapping` says whose row each is.
        - `is_split_into_words`: a text is a list of words.
        - `return_tensors`: "pt" or "np", int64 [rows, tokens]; None gives lists, for one text without the row axis.
        - `text_target`: its ids are returned as `labels`.
        - `tokenizer_kwargs`: more of these options by name; they win over those that are given beside them.

        Returns, in this order and as far as asked for, `input_ids`, `token_type_ids`, `attention_mask`,
        `special_tokens_mask`, `offset_mapping` (characters of the text; (0, 0) for special tokens), `length`,
        `overflow_to_sample_mapping`, `labels`. Raises ValueError for a text that is none, an option that is not known,
        a `max_length` that the special tokens overfill and a stride that makes no progress.
        """
        if tokenizer_kwargs:
            given = {name: value for name, value in locals().items() if name not in ("self", "tokenizer_kwargs")}
            return self(**{**given, **tokenizer_kwargs})
        limits = self._limits(padding, truncation, max_length, pad_to_multiple_of, verbose=verbose)
        cut = Cut(
            limits,
            side=choice("truncation_side", self.truncation_side, SIDES),
            stride=whole_number("stride", stride) or 0 if return_overflowing_tokens else 0,
            overflow=return_overflowing_tokens,
            add_special_tokens=add_special_tokens,
            split_into_words=is_split_into_words,
        )
        wanted = Wanted(
            self._wants("token_type_ids", return_token_type_ids),
            self._wants("attention_mask", return_attention_mask),
            return_overflowing_tokens,
            return_special_tokens_mask,
            return_offsets_mapping,
            return_length,
        )
        padding_plan = self._padding(limits, pad_to_multiple_of, padding_side)
        split = self.split_special_tokens if split_special_tokens is None else split_special_tokens

        def encode(one: Any, two: Any) -> BatchEncoding:
            rows, batched = as_rows(one, two, is_split_into_words)
            encodings = self._encode_rows(rows, cut, split)
            if verbose and max_length is None:
                self._say_too_long(encodings)
            return _result(encodings, wanted, padding_plan, return_tensors, batched)

        if text is None and text_target is None:
            raise ValueError("there is nothing to encode: give text (or text_target)")
        encoded = encode(text_target if text is None else text, text_pair_target if text is None else text_pair)
        if text is not None and text_target is not None:
            encoded["labels"] = encode(text_target, text_pair_target)["input_ids"]
        return encoded

    def encode(self, text: Any, text_pair: Any = None, add_special_tokens: bool = True, **options: Any) -> Any:
        """The `input_ids` of a call with the same arguments."""
        return self(text, text_pair, add_special_tokens=add_special_tokens, **options)["input_ids"]

    def encode_plus(self, text: Any, text_pair: Any = None, **options: Any) -> BatchEncoding:
        """A call, under its name before transformers 5."""
        return self(text, text_pair, **options)

    def batch_encode_plus(self, batch_text_or_text_pairs: Sequence[Any], **options: Any) -> BatchEncoding:
        """A call with a list of texts or pairs, under its name before transformers 5."""
        return self(batch_text_or_text_pairs, **options)

    def tokenize(self, text: Any, pair: Any = None, add_special_tokens: bool = False, **options: Any) -> list[str]:
        """The tokens of a text as strings."""
        return self(text, pair, add_special_tokens=add_special_tokens, **options).tokens()

    def train_new_from_iterator(
        self,
        text_iterator: Iterable[str | Sequence[str]],
        vocab_size: int,
        length: int | None = None,
        new_special_tokens: Sequence[str | AddedToken] | None = None,
        special_tokens_map: Mapping[str, str] | None = None,
        *,
        min_frequency: int = 0,
        limit_alphabet: int | None = None,
        show_progress: bool = False,
    ) -> Self:
        """A tokenizer with this one's pipeline, roles and settings, and a vocabulary of at most `vocab_size` tokens
        that is learned from other text, the same in every process.

        `text_iterator` gives texts or lists of texts, which are kept in memory. `new_special_tokens` are added,
        `special_tokens_map` renames (old -> new); tokens that were added and are not special are left behind. A pair
        of pieces is merged when it is there `min_frequency` times; the `limit_alphabet` most frequent characters are
        kept (None: all). `length` changes nothing. Raises ValueError when there is no text, or no room for the
        characters.
        """
        new = list(map(str, new_special_tokens or ()))
        renamed = dict(special_tokens_map or {})
        special = [*(renamed.get(token, token) for token in self.all_special_tokens), *new]
        learning = Learning(vocab_size, special, min_frequency, limit_alphabet, show_progress)
        settings: dict[str, Any] = {option: getattr(self, option) for option in OPTIONS}
        settings |= {role: token and renamed.get(token, token) for role, token in self._roles.items()}
        return type(self)(
            tokenizer_object=relearn(self._backend, each_text(text_iterator), learning, renamed),
            extra_special_tokens=[*(renamed.get(token, token) for token in self.extra_special_tokens), *new],
            **settings,
        )

    chat_template = None

    def get_chat_template(self, chat_template: str | None = None, tools: Any = None) -> str:
        """Raises ValueError: an ELECTRA model has no chat template."""
        raise ValueError(
            "an ELECTRA model reads a text and does not chat, so it has no chat template; "
            "join the messages to one text and call the tokenizer with it"
        )

    def apply_chat_template(self, conversation: Any, *_: Any, **__: Any) -> str:
        """Raises ValueError: an ELECTRA model has no chat template."""
        return self.get_chat_template()

    def save_pretrained(
        self,
        save_directory: str | Path,
        legacy_format: bool | None = None,
        filename_prefix: str | None = None,
        push_to_hub: bool = False,
        *,
        repo_id: str | None = None,
        token: str | bool | None = None,
    ) -> tuple[str, ...]:
        """Write tokenizer.json, tokenizer_config.json, special_tokens_map.json and vocab.txt, all or none of them.

        A tokenizer that is not BERT's pipeline names the class `PreTrainedTokenizerFast`, since other libraries rebuild
        an `ElectraTokenizer` from its vocabulary and three flags. `legacy_format` changes nothing. `push_to_hub`
        uploads them as well, to the repository `repo_id` (default: of the folder's name). Returns the paths.
        """
        written = write_folder(save_directory, self, f"{filename_prefix}-" if filename_prefix else "")
        if push_to_hub:
            self.push_to_hub(repo_id or Path(save_directory).name, token=token)
        return written

    def save_vocabulary(self, save_directory: str | Path, filename_prefix: str | None = None) -> tuple[str, ...]:
        """Write vocab.txt alone, without tokens that were added; returns its path in a tuple."""
        path = Path(save_directory) / ((f"{filename_prefix}-" if filename_prefix else "") + VOCABULARY)
        write_text(path, vocabulary_text(self._backend.get_vocab(with_added_tokens=False)))
        return (str(path),)

    def __repr__(self) -> str:
        length = "none" if self.model_max_length >= NO_LIMIT else self.model_max_length
        return (
            f"{type(self).__name__}(name_or_path={self.name_or_path!r}, vocab_size={self.vocab_size}, "
            f"casing={self.casing}, model_max_length={length}, special_tokens={self.special_tokens_map})"
        )

    def _encode_rows(self, rows: list[Any], cut: Cut, split_special_tokens: bool) -> list[Encoding]:
        with self._lock:
            if self._backend.encode_special_tokens != split_special_tokens:
                self._backend.encode_special_tokens = split_special_tokens
            return encode_rows(self._backend, rows, cut)

    def _say_too_long(self, encodings: list[Encoding]) -> None:
        longest = max(map(len, encodings), default=0)
        if longest > self.model_max_length and not self._said_too_long:
            self._said_too_long = True
            logger.warning(
                "a text has %d tokens, the model takes %d; say truncation=True to cut such texts",
                longest,
                self.model_max_length,
            )

    if not TYPE_CHECKING:  # a type checker is to know a misspelt name

        def __getattr__(self, name: str) -> NoReturn:
            raise AttributeError(explain(type(self).__name__, name))

    def __getstate__(self) -> dict[str, Any]:
        # equal before and after a call, so that what is keyed by a tokenizer's pickle is found again
        return {name: value for name, value in vars(self).items() if name not in ("_lock", "_said_too_long")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=threading.Lock(), _said_too_long=False)


ElectraTokenizerFast = ElectraTokenizer


def _result(
    encodings: list[Encoding], wanted: Wanted, padding: Padding, return_tensors: str | None, batched: bool
) -> BatchEncoding:
    rows, samples = windows_of(encodings, wanted.overflow)
    pad_encodings(rows, padding)
    columns: dict[str, Any] = to_columns(rows, samples, wanted)
    if not batched and return_tensors is None and not wanted.overflow:
        columns = {name: column[0] if isinstance(column[0], list) else column for name, column in columns.items()}
    return BatchEncoding(columns, rows, return_tensors)


def _side(setting: Mapping[str, Any] | None) -> str:
    """The side that a tokenizer.json pads or truncates on, if it says so."""
    return str(setting["direction"]) if setting else "right"
