"""Which tensor of a checkpoint goes where in a network, and what is left over on either side."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Size, Tensor

# The heads that only one of the two networks of the pretraining has, by the beginning of their tensors' names.
_HALVES = {"generator_predictions": "generator", "discriminator_predictions": "discriminator"}


@dataclass(frozen=True)
class Match:
    """Which tensors of a checkpoint a network takes. Names are the network's, but for `unexpected` and the values of
    `original`.
    """

    loaded: dict[str, Tensor]
    missing: set[str]
    """Tensors of the network that the checkpoint does not have."""
    unexpected: set[str]
    """Tensors of the checkpoint that the network does not have."""
    mismatched: set[tuple[str, Size, Size]]
    """Name, shape in the checkpoint, shape in the network."""
    untied: bool
    """The checkpoint holds two different tensors where the network would use one for both."""
    original: dict[str, str] = field(repr=False)
    """The checkpoint's name of each tensor that has a place in the network."""


def match(
    tensors: Mapping[str, Tensor],
    shapes: Mapping[str, Size],
    *,
    prefix: str,
    tied: Mapping[str, str],
    ignored: Iterable[str] = (),
) -> Match:
    """Match a checkpoint's tensors with those of a network.

    Args:
        tensors: the checkpoint's.
        shapes: of the network's state dict.
        prefix: of the encoder's names in a network with a head, such as "electra."; it is added or removed where a
            network with a head is loaded from a bare encoder, or the reverse.
        tied: names that share another name's tensor.
        ignored: regular expressions of names that are neither missing nor unexpected.
    """
    original = {_placed(name, tensors, shapes, prefix): name for name in tensors}
    here = {name: tensors[old] for name, old in original.items() if name in shapes}
    mismatched = {(name, t.shape, shapes[name]) for name, t in here.items() if t.shape != shapes[name]}
    loaded = {name: tensor for name, tensor in here.items() if tensor.shape == shapes[name]}
    untied = _settle_ties(loaded, tied)
    accounted_for = set(loaded) | {name for name, _, _ in mismatched}
    accounted_for |= {target for target, source in tied.items() if source in accounted_for and not untied}
    return Match(
        loaded=loaded,
        missing=_without(ignored, set(shapes) - accounted_for),
        unexpected=_without(ignored, {old for name, old in original.items() if name not in shapes}),
        mismatched=mismatched,
        untied=untied,
        original={name: old for name, old in original.items() if name in shapes},
    )


def _placed(name: str, tensors: Mapping[str, Tensor], shapes: Mapping[str, Size], prefix: str) -> str:
    """The network's name for a tensor of the checkpoint; the same name where it has none."""
    if name in shapes:
        return name
    if name.removeprefix(prefix) in shapes and name.removeprefix(prefix) not in tensors:
        return name.removeprefix(prefix)
    if prefix + name in shapes and prefix + name not in tensors:
        return prefix + name
    return name


def _settle_ties(loaded: dict[str, Tensor], tied: Mapping[str, str]) -> bool:
    """Keep one tensor, under the source's name, for each tied pair; True if a pair differs."""
    for target, source in tied.items():
        if target not in loaded:
            continue
        if source not in loaded:
            loaded[source] = loaded.pop(target)
        elif torch.equal(loaded[target], loaded[source]):
            del loaded[target]
        else:
            return True
    return False


def _without(ignored: Iterable[str], names: set[str]) -> set[str]:
    return {name for name in names if not any(re.search(pattern, name) for pattern in ignored)}


# -- messages -----------------------------------------------------------------------------------------


def of_encoder(names: Iterable[str], shapes: Mapping[str, Size], prefix: str) -> list[str]:
    """Those of the network's `names` that belong to its encoder; all of them where the network has no head."""
    has_head = any(name.startswith(prefix) for name in shapes)
    return sorted(name for name in names if not has_head or name.startswith(prefix))


def incomplete(matched: Match, lacking: list[str], *, model: str, source: str, holds: Iterable[str]) -> str:
    """The error for a checkpoint that lacks tensors of the encoder."""
    if not matched.loaded:
        return (
            f"{source} is not a checkpoint that {model} can load: none of its tensors is one of an ELECTRA. It holds "
            f"{_listed(sorted(holds))}."
        )
    return (
        f"{source} lacks {len(lacking)} tensors of the encoder that {model} needs: {_listed(lacking, most=20)}. "
        "The file is incomplete, or config.json describes another network."
    )


def wrong_shapes(matched: Match, *, model: str, where: Mapping[str, object]) -> str:
    """The error for tensors of another shape. where: the place of each tensor, by the checkpoint's name."""
    lines = [
        f"  {name}: {list(theirs)} in {where.get(matched.original[name], 'the state dict')}, {list(ours)} in {model}"
        for name, theirs, ours in sorted(matched.mismatched)
    ]
    return (
        f"{len(lines)} tensors have another shape than the configuration says:\n"
        + "\n".join(lines)
        + "\nGive the configuration that goes with them, or ignore_mismatched_sizes=True to initialise those."
    )


def notices(matched: Match, shapes: Mapping[str, Size], prefix: str, *, model: str, source: str) -> list[str]:
    """Warnings. That a bare encoder does not use a head is what the caller asked for."""
    texts = []
    unplaced = _unplaced(matched, shapes, prefix)
    if unplaced:
        texts.append(
            f"{model} from {source}: {len(unplaced)} tensors of the checkpoint's encoder have no place in the network "
            f"that the configuration describes: {_listed(unplaced)}."
        )
    fresh = sorted(matched.missing | {name for name, _, _ in matched.mismatched})
    rest = sorted(matched.unexpected - set(unplaced))
    if fresh:
        texts.append(_of_fresh(matched, fresh, rest, shapes, model=model, source=source))
    elif rest and any(name.startswith(prefix) for name in shapes):
        texts.append(f"{model} from {source}: not used from the checkpoint: {_listed(rest)}.")
    return texts


def _unplaced(matched: Match, shapes: Mapping[str, Size], prefix: str) -> list[str]:
    """The checkpoint's tensors that are an encoder's and have no place in this one, such as those of further layers."""
    parts = {_stem(name.removeprefix(prefix)) for name in of_encoder(shapes, shapes, prefix)}
    return sorted(name for name in matched.unexpected if _stem(name.removeprefix(prefix)) in parts)


def _of_fresh(
    matched: Match, fresh: list[str], rest: list[str], shapes: Mapping[str, Size], *, model: str, source: str
) -> str:
    new = _listed(_short(fresh, shapes))
    parts = [f"{model} from {source}: new, with random values: {new}. Train them before use."]
    if matched.mismatched:
        parts.append(f"Of another shape in the checkpoint: {_listed(sorted(n for n, _, _ in matched.mismatched))}.")
    if rest:
        parts.append(f"Not used from the checkpoint: {_listed(_short(rest, matched.unexpected))}.")
    theirs, ours = _half(rest), _half(fresh)
    if theirs and ours:
        parts.append(f"The checkpoint is a {theirs}; {model} is for a {ours}, which is the other of the two networks.")
    return " ".join(parts)


def _half(names: Iterable[str]) -> str | None:
    return next((half for name in names for head, half in _HALVES.items() if name.startswith(head)), None)


def _short(names: Iterable[str], among: Iterable[str]) -> list[str]:
    """The names, but "head.*" where they are all that `among` has of one head."""
    names, others = set(names), set(among) - set(names)
    partly = {_stem(name) for name in others}
    return sorted({name if _stem(name) in partly else f"{_stem(name)}.*" for name in names})


def _stem(name: str) -> str:
    return name.split(".")[0]


def _listed(names: list[str], most: int = 5) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
