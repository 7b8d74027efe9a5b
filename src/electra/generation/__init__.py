"""Text from a decoder, token by token: greedy, sampled, or by beam search."""
