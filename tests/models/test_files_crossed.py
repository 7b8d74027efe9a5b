"""A reader of one forward pass opens few files."""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType
from typing import Any

import torch

import electra
from electra import ElectraConfig, ElectraModel
from tests.parity.twins import SIZES

PACKAGE = str(Path(electra.__file__).parent)
MOST_FILES = 7


def test_a_forward_in_evaluation_crosses_at_most_seven_files() -> None:
    model = ElectraModel(ElectraConfig(**SIZES)).eval()
    mask = (torch.arange(12) < torch.tensor([12, 5])[:, None]).long()
    seen: set[str] = set()

    def profile(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(PACKAGE):
            seen.add(frame.f_code.co_filename.removeprefix(PACKAGE))

    with torch.no_grad():
        model(7 * mask, mask)  # what runs once has run
        before = sys.getprofile()
        sys.setprofile(profile)
        try:
            model(7 * mask, mask)
        finally:
            sys.setprofile(before)
    assert len(seen) <= MOST_FILES, sorted(seen)
    assert not any("dropout" in file or "decoder" in file for file in seen)
