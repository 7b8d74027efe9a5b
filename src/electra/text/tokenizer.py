"""ElectraTokenizer: text to token ids and back, called as transformers' tokenizers are."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

from tokenizers import AddedToken, Tokenizer

from electra.files.atomic import write_text
from electra.hub.hub_names import Location
from electra.hub.push import Pushed
from electra.text import backend as backends
from electra.text.backend import Casing
from electra.text.compat.older_keywords import older_keywords
from electra.text.compat.transformers4_methods import Transformers4Methods
from electra.text.encode.call_options import NO_LIMIT, SIDES, as_list, choice
from electra.text.encode.row_encoding import each_text
from electra.text.special_tokens import ROLES
from electra.text.text_encoder import TextEncoder
from electra.text.tokenizer_folder import OPTIONS, VOCABULARY, load_backend, read_folder, write_folder
from electra.text.vocab_file import as_vocabulary, vocabulary_text, warn_of_stripping
from electra.text.wordpiece_training import Learning, relearn
from electra.validation import require


class ElectraTokenizer(Pushed, Transformers4Methods, TextEncoder):
    """BERT's WordPiece tokenizer over the `tokenizers` library, with transformers 5.23's call surface.

    One tokenizer may be used from several threads.

    Args:
        vocab: the path of a vocab.txt, tokens in the order of their ids, or token -> id. Give one of `vocab` (also as
            `vocab_file`), `tokenizer_file` and `tokenizer_object`; without any there are the five special tokens alone.
        do_lower_case: lowercase. Default: True. This and the next flags change a tokenizer.json only if given.
        unk_token: special tokens; None for none.
        sep_token: as `unk_token`.
        pad_token: as `unk_token`.
        cls_token: as `unk_token`.
        mask_token: as `unk_token`.
        bos_token: as `unk_token`.
        eos_token: as `unk_token`.
        tokenize_chinese_chars: every CJK ideograph is a word. Default: True.
        strip_accents: é becomes e. Default: if lowercasing.
        vocab_file: `vocab` under its older name.
        tokenizer_file: the path of a tokenizer.json.
        tokenizer_object: a `tokenizers.Tokenizer`; it is copied.
        compose_accents: apply Unicode NFC first, which BERT does not do. Default: False.
        extra_special_tokens: special tokens without a role (before transformers 5: `additional_special_tokens`).
        model_max_length: tokens that the model takes; None for no limit.
        padding_side: "right" or "left". Default: what a tokenizer.json says, else "right".
        truncation_side: as `padding_side`.
        model_input_names: columns that a call returns by default.
        clean_up_tokenization_spaces: decode without spaces before punctuation.
        split_special_tokens: treat special tokens in text as ordinary text.
        name_or_path: where it was loaded from.
        older: keywords of other versions and models: `max_len` (model_max_length), `keep_accents` (the opposite of
            strip_accents), `never_split` (tokens of the vocabulary that are kept whole in text).

    Raises:
        ValueError: a vocabulary that lacks a special token, has a token twice or an empty one, or is not UTF-8.
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
        **older: Any,
    ) -> None:
        if older:
            never_split, renamed = older_keywords(older, inspect.signature(type(self)).parameters)
            model_max_length = renamed.get("model_max_length", model_max_length)
            strip_accents = renamed.get("strip_accents", strip_accents)
        else:
            never_split = []
        files = {"vocab_file": vocab_file, "tokenizer_file": tokenizer_file}
        sources = {"vocab": vocab, **files, "tokenizer_object": tokenizer_object}
        named = [name for name, source in sources.items() if source is not None]
        if len(named) > 1:
            raise ValueError(f"{' and '.join(named)} are given, and each is a vocabulary: give one of them")
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
            if do_lower_case is None and casing.lowercase and strip_accents is None:
                warn_of_stripping("vocab", tokens)
        special = (bos_token, eos_token, unk_token, sep_token, pad_token, cls_token, mask_token)
        super().__init__(
            backend,
            dict(zip(ROLES, special, strict=True)),
            [
                *as_list("extra_special_tokens", extra_special_tokens),
                *as_list("additional_special_tokens", additional_special_tokens),
            ],
        )
        if never_split:
            missing = [token for token in never_split if not self._knows(token)]
            require(not missing, "never_split", missing, "tokens of the vocabulary", "add_tokens adds others")
            self.add_tokens([AddedToken(token, single_word=True, normalized=False) for token in never_split])
        if backend.post_processor is None:
            backends.set_template(backend, self.cls_token, self.sep_token)
        self.padding_side = choice("padding_side", padding_side or _side(backend.padding), SIDES)
        self.truncation_side = choice("truncation_side", truncation_side or _side(backend.truncation), SIDES)
        # both are options of a call here; what a tokenizer.json says would apply to every call
        backend.no_padding()
        backend.no_truncation()
        if model_max_length is not None:
            self.model_max_length = model_max_length
        self.model_input_names = as_list("model_input_names", model_input_names or type(self).model_input_names)
        self.clean_up_tokenization_spaces = clean_up_tokenization_spaces
        self.split_special_tokens = split_special_tokens
        self.name_or_path = str(name_or_path)

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

        A tokenizer.json takes precedence over the flags in tokenizer_config.json. With a vocab.txt alone and no flags,
        casing is inferred from the vocabulary, and a warning says so.

        Args:
            pretrained_model_name_or_path: the folder, repository or file.
            subfolder: as in `ElectraModel`.
            revision: as `subfolder`.
            cache_dir: as `subfolder`.
            token: as `subfolder`.
            local_files_only: as `subfolder`.
            force_download: as `subfolder`.
            use_fast: without effect: there is one implementation, and no code is read from folders.
            trust_remote_code: as `use_fast`.
            settings: keywords of the constructor; they override the files.

        Raises:
            OSError: there is no vocabulary.
            ValueError: a file is damaged; the message names it.
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
        """Whether text is lowercased; None where `casing` is."""
        return self.casing.lowercase if self.casing else None

    @property
    def strip_accents(self) -> bool | None:
        """Whether accents are stripped; None: if lowercasing, or where `casing` is None."""
        return self.casing.strip_accents if self.casing else None

    @property
    def tokenize_chinese_chars(self) -> bool | None:
        """Whether every CJK ideograph is a word; None where `casing` is."""
        return self.casing.chinese_chars if self.casing else None

    def fingerprint(self) -> str:
        """SHA-256, in hex, of everything that decides which ids a text gets; equal for equal tokenizers."""
        return backends.fingerprint(self._backend, self.special_tokens_map)

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
        """A tokenizer with this one's pipeline, roles and settings, and a vocabulary learned from other text.

        The same text gives the same vocabulary in every process. Added tokens that are not special are dropped.

        Args:
            text_iterator: texts or lists of texts; they are kept in memory.
            vocab_size: tokens at most, the special ones included.
            length: without effect.
            new_special_tokens: are added.
            special_tokens_map: renames special tokens, old -> new.
            min_frequency: how often a pair of pieces must occur to be merged.
            limit_alphabet: the most frequent characters are kept, so many; None: all.
            show_progress: show a progress bar.

        Raises:
            ValueError: there is no text, or no room for the characters.
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

        Args:
            save_directory: the folder; it is made if need be.
            legacy_format: without effect.
            filename_prefix: put before each file's name, with a hyphen.
            push_to_hub: upload them as well.
            repo_id: the repository. Default: of the folder's name.
            token: as in `push_to_hub`.

        Returns:
            The paths.
        """
        prefix = f"{filename_prefix}-" if filename_prefix else ""
        options = {option: getattr(self, option) for option in OPTIONS}
        written = write_folder(
            save_directory, self._backend, self.special_tokens_map, self.extra_special_tokens, options, prefix
        )
        if push_to_hub:
            self.push_to_hub(repo_id or Path(save_directory).name, token=token)
        return written

    def save_vocabulary(self, save_directory: str | Path, filename_prefix: str | None = None) -> tuple[str, ...]:
        """Write vocab.txt alone, without added tokens; returns its path in a tuple."""
        path = Path(save_directory) / ((f"{filename_prefix}-" if filename_prefix else "") + VOCABULARY)
        write_text(path, vocabulary_text(self._backend.get_vocab(with_added_tokens=False)))
        return (str(path),)

    def __repr__(self) -> str:
        length = "none" if self.model_max_length >= NO_LIMIT else self.model_max_length
        return (
            f"{type(self).__name__}(name_or_path={self.name_or_path!r}, vocab_size={self.vocab_size}, "
            f"casing={self.casing}, model_max_length={length}, special_tokens={self.special_tokens_map})"
        )


ElectraTokenizerFast = ElectraTokenizer


def _side(setting: Mapping[str, Any] | None) -> str:
    """The side that a tokenizer.json pads or truncates on, if it says so."""
    return str(setting["direction"]) if setting else "right"
