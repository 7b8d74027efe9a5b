"""The cost of pretraining, from the shapes of the networks: floating-point operations, bytes

One multiplication with one addition is two operations. Matrix products and attention are counted; the rest
(LayerNorms, activations, softmax, the optimizer) is a few per cent of them. A backward pass costs two forward passes.
"""

from __future__ import annotations

from collections.abc import Sequence

from electra.config import ElectraConfig

FORWARD_AND_BACKWARD = 3  # forward, gradients of the inputs, gradients of the weights: as many products each
STATE_BYTES = 16  # of a parameter: weight, gradient and Adam's two moments, float32 each
CHECKPOINT_BYTES = 12  # of a parameter: all of these but the gradient


def effective_length(lengths: Sequence[int]) -> float:
    """The equal length at which sequences would cost per token in attention what these cost: sum n^2 / sum n."""
    return sum(length * length for length in lengths) / sum(lengths)


def step_flops(
    *, generator: ElectraConfig | None, discriminator: ElectraConfig | None, length: float, mask_fraction: float
) -> float:
    """Operations of a training step for each token of its batch.

    Args:
        generator, discriminator: their shapes; None for one that is not trained.
        length: of the sequences; for different lengths see `effective_length`.
        mask_fraction: the fraction of tokens that the generator predicts; its head is computed for these alone.
    """
    forward = 0.0
    if generator is not None:
        forward += encoder_flops(generator, length) + mask_fraction * vocabulary_head_flops(generator)
    if discriminator is not None:
        forward += encoder_flops(discriminator, length) + 2 * discriminator.hidden_size * (
            discriminator.hidden_size + 1
        )
    return FORWARD_AND_BACKWARD * forward


def encoder_flops(config: ElectraConfig, length: float) -> float:
    """Operations of a forward pass through the embeddings' projection and all layers, for each token."""
    hidden, wide, embedded = config.hidden_size, config.intermediate_size, config.embedding_size
    projection = 2 * embedded * hidden if embedded != hidden else 0
    products = 4 * hidden * hidden + 2 * hidden * wide
    attention = 4 * length * hidden  # scores, and the sums weighted by them
    return projection + config.num_hidden_layers * (2 * products + attention)


def vocabulary_head_flops(config: ElectraConfig) -> float:
    """Operations of a forward pass from a hidden state to the logits of all tokens, for each masked token."""
    return 2 * config.embedding_size * (config.hidden_size + config.vocab_size)
