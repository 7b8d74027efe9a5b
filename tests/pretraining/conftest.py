"""What runs of seconds share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(scope="module")
def quick() -> Iterator[None]:
    """Networks this small are quickest with one thread, and nobody reads the reports."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("electra.pretraining.pretraining_run.write_report", lambda *arguments: None)
        yield
    torch.set_num_threads(threads)
