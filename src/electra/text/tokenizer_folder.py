"""The files of a tokenizer in a model's folder, read and written."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

from tokenizers import AddedToken, Tokenizer

from electra.files.atomic import adding_to_folder, write_text
from electra.files.json_objects import object_text, read_object
from electra.hub.hub_names import Location, find_file
from electra.text.backend import Casing, build_backend, casing_of, is_stock, no_panics
from electra.text.special_tokens import EXTRA, EXTRA_BEFORE_V5, ROLES
from electra.text.tokenizer_fields import (
    check_added_tokens,
    check_costs,
    check_fields,
    refuse_other_class,
    stated_length,
)
from electra.text.vocab_file import describe, index, infer_casing, read_tokens, vocabulary_text, warn_of_stripping

logger = logging.getLogger("electra")

TOKENIZER, VOCABULARY, CONFIG = "tokenizer.json", "vocab.txt", "tokenizer_config.json"
SPECIAL_TOKENS, ADDED_TOKENS, MODEL = "special_tokens_map.json", "added_tokens.json", "config.json"
OPTIONS = (
    "model_max_length",
    "model_input_names",
    "padding_side",
    "truncation_side",
    "clean_up_tokenization_spaces",
    "split_special_tokens",
)
CASING = {"do_lower_case": "lowercase", "strip_accents": "strip_accents", "tokenize_chinese_chars": "chinese_chars"}


def read_folder(
    name_or_path: str | Path, keywords: Mapping[str, Any], **location: Unpack[Location]
) -> tuple[Tokenizer, dict[str, Any]]:
    """The tokenizer of a folder or repository, and the keywords for ElectraTokenizer that its files state.

    A tokenizer.json takes precedence over everything else. With a vocab.txt alone, casing that neither `keywords` nor
    tokenizer_config.json state is inferred from the vocabulary, with a warning.

    Args:
        name_or_path: the folder, the repository, or one file of these two.
        keywords: of ElectraTokenizer; they override the files.
        location: see `electra.hub.hub_names`.

    Raises:
        OSError: there is no vocabulary.
        ValueError: a file is damaged; the message names it.
    """
    if Path(name_or_path).expanduser().is_file():
        return _from_file(Path(name_or_path).expanduser(), keywords), {}
    paths = {
        name: find_file(name_or_path, name, **location)
        for name in (TOKENIZER, VOCABULARY, CONFIG, SPECIAL_TOKENS, ADDED_TOKENS, MODEL)
    }
    config = {**_read(paths[SPECIAL_TOKENS], check_fields), **_read(paths[CONFIG], check_fields)}
    added = _read(paths[ADDED_TOKENS], check_added_tokens)
    model = _read(paths[MODEL])
    length = stated_length(config.get("model_max_length"), config.get("max_len"), model.get("max_position_embeddings"))
    config["model_max_length"] = length
    tokenizer_path, vocabulary_path = paths[TOKENIZER], paths[VOCABULARY]
    if tokenizer_path is not None:
        backend = read_backend(tokenizer_path)
        _warn_of_contradictions(tokenizer_path, backend, config)
    elif vocabulary_path is not None:
        refuse_other_class(name_or_path, config)
        refuse_other_class(name_or_path, model)  # some folders name it only there
        if config.get("keep_accents") is not None:
            config.setdefault("strip_accents", not config["keep_accents"])
        backend = _from_vocabulary(vocabulary_path, {**config, **keywords})
    else:
        raise OSError(
            f"{name_or_path} has no vocabulary: neither a {TOKENIZER} nor a {VOCABULARY} is there; "
            "a model's folder needs one of the two beside its config.json"
        )
    _add_tokens(backend, config.get("added_tokens_decoder") or {}, added)
    settings = _settings(config)
    if tokenizer_path is None:  # a tokenizer.json says itself how text is separated
        settings |= {
            name: config[name] for name in ("never_split", "do_basic_tokenize") if config.get(name) is not None
        }
    return backend, settings


def _read(
    path: Path | None, check: Callable[[Path, Mapping[str, Any]], None] = lambda path, values: None
) -> dict[str, Any]:
    if path is None:
        return {}
    values = read_object(path)
    check(path, values)
    return values


def read_backend(path: Path) -> Tokenizer:
    """The tokenizer of a tokenizer.json.

    Raises:
        ValueError: the file is damaged, or something else; the message names it.
    """
    try:
        with no_panics(f"reading {path}"):
            backend = Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except OSError:
        raise
    except Exception as error:
        raise ValueError(f"{path}: not a whole tokenizer.json ({error}); download or save it again") from error
    check_costs(path, backend)
    return backend


def load_backend(tokenizer_object: Tokenizer | None, tokenizer_file: str | Path | None) -> Tokenizer:
    """A copy of a tokenizer, or the one in a tokenizer.json."""
    if tokenizer_object is not None:
        return Tokenizer.from_str(tokenizer_object.to_str())
    return read_backend(Path(str(tokenizer_file)))


def write_folder(
    folder: str | Path,
    backend: Tokenizer,
    special_tokens: Mapping[str, str],
    extra: Sequence[str],
    options: Mapping[str, Any],
    prefix: str = "",
) -> tuple[str, ...]:
    """Write the four files into `folder`, all or none.

    Args:
        folder: where to write; made if need be.
        backend: the tokenizer.
        special_tokens: role -> token.
        extra: special tokens without a role.
        options: the values of OPTIONS.
        prefix: put before each file's name.

    Returns:
        The paths.
    """
    more = {EXTRA_BEFORE_V5: list(extra)} if extra else {}
    texts = {
        TOKENIZER: backend.to_str(pretty=True),
        CONFIG: object_text({**_configuration(backend, special_tokens, options), **more}),
        SPECIAL_TOKENS: object_text({**special_tokens, **more}),
    }
    vocabulary = backend.get_vocab(with_added_tokens=False)
    if type(backend.model).__name__ == "WordPiece" and not any("\n" in token for token in vocabulary):
        texts[VOCABULARY] = vocabulary_text(vocabulary)
    # files of an earlier tokenizer in this folder would be read together with ours
    stale = [prefix + name for name in (VOCABULARY, ADDED_TOKENS)]
    with adding_to_folder(folder, replacing=stale) as partial:
        for name, text in texts.items():
            write_text(partial / (prefix + name), text)
    return tuple(str(Path(folder) / (prefix + name)) for name in texts)


def _configuration(backend: Tokenizer, special_tokens: Mapping[str, str], options: Mapping[str, Any]) -> dict[str, Any]:
    """The content of tokenizer_config.json.

    Other libraries rebuild an `ElectraTokenizer` from its vocabulary and three flags, and take a
    `PreTrainedTokenizerFast` from tokenizer.json as it is; so anything but BERT's own pipeline is called the latter.
    """
    casing = casing_of(backend) if is_stock(backend) else None
    flags = {} if casing is None else {flag: getattr(casing, field) for flag, field in CASING.items()}
    return {
        "tokenizer_class": "PreTrainedTokenizerFast" if casing is None else "ElectraTokenizer",
        **flags,
        **dict.fromkeys(ROLES),
        **special_tokens,
        # transformers' number for "no limit" is left out: whoever reads the folder then takes the model's positions
        **{name: value for name, value in options.items() if name != "model_max_length" or stated_length(value)},
    }


def plain_token(value: Any) -> str | None:
    """A token as configurations spell it: a string, a description with its `content`, or null."""
    return value.get("content") if isinstance(value, Mapping) else value


def _from_file(path: Path, keywords: Mapping[str, Any]) -> Tokenizer:
    return read_backend(path) if path.suffix == ".json" else _from_vocabulary(path, keywords)


def _from_vocabulary(path: Path, config: Mapping[str, Any]) -> Tokenizer:
    tokens = read_tokens(path, strict=False)
    stated = _stated_casing(config)
    if "lowercase" in stated:
        casing = Casing(**stated)
        if "strip_accents" not in stated and casing.lowercase:
            warn_of_stripping(path, tokens)
    else:
        # without do_lower_case, a strip_accents of null says nothing
        explicit = {field: value for field, value in stated.items() if value is not None}
        casing = Casing(**{**vars(infer_casing(tokens)), **explicit})
        logger.warning(
            "%s: no %s says whether text is lowercased; the vocabulary looks %s. Pass do_lower_case=... to decide",
            path,
            CONFIG,
            describe(casing),
        )
    return build_backend(index(tokens), casing, str(plain_token(config.get("unk_token")) or "[UNK]"))


def _stated_casing(config: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a Casing that a configuration states; null says something of strip_accents alone."""
    stated = {field: config[flag] for flag, field in CASING.items() if flag in config}
    return {field: value for field, value in stated.items() if value is not None or field == "strip_accents"}


def _warn_of_contradictions(path: Path, backend: Tokenizer, config: Mapping[str, Any]) -> None:
    casing = casing_of(backend)
    if casing is None:
        return
    stated = replace(casing, **_stated_casing(config))
    if stated.effective != casing.effective:
        logger.warning("%s: %s says %s, but %s says %s, which is used", path.parent, CONFIG, stated, TOKENIZER, casing)


def _add_tokens(backend: Tokenizer, described: Mapping[str, Any], by_name: Mapping[str, int]) -> None:
    """Add the tokens of `added_tokens_decoder` (id -> description) and of added_tokens.json (token -> id) by id."""
    tokens = {int(number): AddedToken(**_description(token)) for number, token in described.items()}
    tokens = {**{number: AddedToken(name, normalized=False) for name, number in by_name.items()}, **tokens}
    known = {token.content for token in backend.get_added_tokens_decoder().values()}
    # in the order of their ids: the library numbers tokens as they are added
    for number, token in sorted(tokens.items()):
        if token.content not in known:
            (backend.add_special_tokens if token.special else backend.add_tokens)([token])
        if backend.token_to_id(token.content) != number:
            logger.warning(
                "the added token %r has id %d, but its folder says %d: the vocabulary is not the one it was added to",
                token.content,
                backend.token_to_id(token.content),
                number,
            )


def _description(token: Any) -> dict[str, Any]:
    fields = ("content", "single_word", "lstrip", "rstrip", "normalized", "special")
    return {name: token[name] for name in fields if name in token}


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
    settings = {name: config[name] for name in OPTIONS if config.get(name) is not None}
    settings.update({role: plain_token(config[role]) for role in ROLES if role in config})
    extra = config.get(EXTRA) or config.get(EXTRA_BEFORE_V5) or []
    settings[EXTRA] = [plain_token(token) for token in (extra.values() if isinstance(extra, Mapping) else extra)]
    return settings
