from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

from electra.text.tokenizer import ElectraTokenizer
from electra.text.training.vocabulary import train_vocabulary

from .nasty import TRAINING


def reference_of(vocabulary: dict[str, int] | str | Path, **options: Any) -> Any:
    """transformers' tokenizer over the same vocabulary."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from transformers import BertTokenizer

        return BertTokenizer(vocabulary if isinstance(vocabulary, dict) else str(vocabulary), **options)


@pytest.fixture(scope="session", params=["uncased", "cased"])
def twins(request: pytest.FixtureRequest) -> tuple[ElectraTokenizer, Any]:
    """Our tokenizer and transformers', over one vocabulary that was trained here."""
    lower = request.param == "uncased"
    ours = train_vocabulary(TRAINING, size=300, lowercase=lower)
    return ours, reference_of(ours.get_vocab(), do_lower_case=lower)


@pytest.fixture(scope="session")
def small() -> ElectraTokenizer:
    return train_vocabulary(TRAINING, size=300)
