"""The loop: read what is new, weigh what may come next, choose, and go on until every text is finished."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from electra.generation.beams import Beams
from electra.generation.generation_outputs import Kept
from electra.generation.reader import Reader
from electra.generation.rows import Rows
from electra.generation.rules import Rule


def write(search: Rows | Beams, reader: Reader, rules: Sequence[Rule], kept: Kept, streamer: Any = None) -> None:
    """Write texts to their ends. They grow in `search`; what is asked for of the way is added to `kept`."""
    if streamer is not None:
        streamer.put(search.ids.cpu())
    while not search.done:
        output = reader.read(search.ids)
        assert output.logits is not None
        logits = output.logits[:, -1].float()
        scores = search.weigh(logits)
        for rule in rules:
            scores = rule(search.ids, scores)
        kept.add(scores, logits, output)
        search.advance(scores, kept)
        reader.follow(search.parents)
        if streamer is not None:
            streamer.put(search.ids[:, -1].cpu())
    if streamer is not None:
        streamer.end()
