"""Convert a network's parameters from a checkpoint of Google's code and back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from electra.google.checkpoint_heads import Head
from electra.google.checkpoint_networks import Network
from electra.google.tensorflow.bundle import Bundle
from electra.google.variable_names import Scopes, turned, variable_name

Shape = tuple[int, ...]

_TYPES = "electra.embeddings.token_type_embeddings.weight"
_TIED = "generator_lm_head.weight"  # tied to the word embeddings, which Google's code stores once


class LazyTensors(Mapping[str, Tensor]):
    """Tensors by name that are computed at each access, so that a large checkpoint need not fit in memory.

    Args:
        makers: a function for each name.
    """

    def __init__(self, makers: Mapping[str, Callable[[], Tensor]]) -> None:
        self._makers = makers

    def __getitem__(self, name: str) -> Tensor:
        return self._makers[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)


def read_state(bundle: Bundle, network: Network, shapes: Mapping[str, Shape]) -> dict[str, Tensor]:
    """The parameters of a network, by our names.

    Args:
        bundle: the checkpoint.
        network: one of the checkpoint's.
        shapes: of our parameters, by name.

    Raises:
        ValueError: a variable is missing, damaged or of another shape; the message names it.
    """
    names = {
        name: variable_name(_whole(name, network.architecture), network.scopes)
        for name in shapes
        if name != _TIED and (network.head is None or name.startswith("electra."))
    }
    of_head = variables_of_head(network)
    if lacking := [name for name in (*names.values(), *of_head.values()) if name not in bundle.shapes]:
        raise ValueError(f"{bundle.prefix} lacks {len(lacking)} variables of a whole network: {_some(lacking)}.")
    state = {name: read_values(bundle, variable) for name, variable in names.items()}
    if network.token_types is not None:
        state[_TYPES] = state[_TYPES][list(network.token_types)]
    if network.head is not None:
        state |= network.head.parameters(lambda name: read_values(bundle, of_head[name]))
    for name, tensor in state.items():
        if tuple(tensor.shape) != shapes[name]:
            raise ValueError(
                f"{bundle.prefix}: the variable {names.get(name, name)!r} makes {name} of shape {list(tensor.shape)}, "
                f"and {list(shapes[name])} goes with the others."
            )
    return state


def variables_used(network: Network, parameters: list[str]) -> set[str]:
    """The names of the variables that `read_state` reads.

    Args:
        network: one of the checkpoint's.
        parameters: the names of our parameters.
    """
    encoder = (name for name in parameters if network.head is None or name.startswith("electra."))
    variables = {variable_name(_whole(name, network.architecture), network.scopes) for name in encoder if name != _TIED}
    return variables | set(variables_of_head(network).values())


def variables_of_head(network: Network) -> dict[str, str]:
    """The variables of the network's head, by their names in `Head`."""
    names = network.head.names if network.head else ()
    return {
        f"{name}/{kind}": f"task_specific/{network.name}/{name}/{kind}" for name in names for kind in ("kernel", "bias")
    }


def read_values(bundle: Bundle, variable: str) -> Tensor:
    """A variable's values as a parameter; a kernel [inputs, outputs] is transposed to a weight [outputs, inputs]."""
    return turned(variable, torch.from_numpy(bundle.read(variable))).contiguous()


def variables_of(
    state: Mapping[str, Tensor],
    scopes: Scopes,
    *,
    head: Head | None = None,
    task: str = "",
    token_types: tuple[int, ...] | None = None,
) -> dict[str, Tensor]:
    """The reverse of `read_state`: tensors by variable name, not transposed yet (see `as_array`).

    Args:
        state: our parameters.
        scopes: the variable scopes of the encoder and the embeddings.
        head: of a fine-tuned network.
        task: the name of its task.
        token_types: as in `Network`.

    Raises:
        ValueError: the head is one that Google's code does not have, or the output layer is not the word embeddings.
    """
    encoder = {
        _whole(name, ""): tensor for name, tensor in state.items() if head is None or name.startswith("electra.")
    }
    output = encoder.pop(_TIED, None)
    if output is not None and not torch.equal(output, encoder["electra.embeddings.word_embeddings.weight"]):
        raise ValueError("its output layer is not its word embeddings, and Google's code has one table for both")
    if token_types is not None:
        order = [token_types.index(theirs) for theirs in range(len(set(token_types)))]
        encoder[_TYPES] = encoder[_TYPES][order]
    variables = {variable_name(name, scopes): tensor for name, tensor in encoder.items()}
    if head is not None:
        variables |= {f"task_specific/{task}/{name}": tensor for name, tensor in head.variables(state).items()}
    return variables


def as_array(variable: str, tensor: Tensor) -> NDArray[Any]:
    """A parameter's values as a variable: a weight is transposed to a kernel, half precision becomes float32."""
    wide = tensor if tensor.dtype in (torch.float32, torch.float64) else tensor.float()
    values: NDArray[Any] = turned(variable, wide.detach().cpu()).numpy()
    return np.ascontiguousarray(values)


def _whole(parameter: str, architecture: str) -> str:
    """A bare encoder's parameters are named without the `electra.` that they have under a head."""
    bare = architecture == "ElectraModel" or parameter.startswith(("embeddings.", "embeddings_project.", "encoder."))
    return f"electra.{parameter}" if bare else parameter


def _some(names: list[str], most: int = 5) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
