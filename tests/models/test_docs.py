"""`help` of the models: examples that run, every argument of `forward`, and what comes back."""

from __future__ import annotations

import doctest
import inspect
import re

import pytest

import electra
from electra.models import electra_model, joint_question_answering_model, language_models, task_models

MODELS = sorted(
    name
    for name in electra.__all__
    if re.match("Electra(Model|For)", name)
    and not name.endswith("Output")
    and hasattr(getattr(electra, name), "forward")
)


@pytest.mark.parametrize(
    "module", [electra_model, joint_question_answering_model, language_models, task_models], ids=lambda m: m.__name__
)
def test_the_examples_run(module: object) -> None:
    found = doctest.testmod(module)  # type: ignore[arg-type]
    assert found.failed == 0
    assert found.attempted > 0


@pytest.mark.parametrize("name", MODELS)
def test_a_class_starts_with_a_summary_and_has_an_example(name: str) -> None:
    text = inspect.getdoc(getattr(electra, name)) or ""
    assert text.splitlines()[0].endswith((".", ":")) or len(text.splitlines()[0]) > 60
    assert ">>> " in text


@pytest.mark.parametrize("name", MODELS)
def test_forward_says_what_goes_in_and_what_comes_out(name: str) -> None:
    forward = getattr(electra, name).forward
    text = inspect.getdoc(forward) or ""
    arguments = text.partition("Args:")[2].partition("Returns:")[0]
    described = set(re.findall(r"\w+", " ".join(re.findall(r"^    (?! )([\w*, ]+):", arguments, flags=re.MULTILINE))))
    assert set(inspect.signature(forward).parameters) - {"self"} == described
    assert "[B" in text.partition("Returns:")[2]
    assert "return_dict=False" in text.partition("Returns:")[2]
    assert "ValueError" in text.partition("Raises:")[2]
