"""The examples in the docstrings say the truth."""

import doctest
from types import ModuleType

import pytest

from tidemill_apps.services.text import actions, courtesy, language, sentences


@pytest.mark.parametrize(
    "module", [actions, courtesy, language, sentences], ids=lambda each: each.__name__
)
def test_every_example_answers_what_it_says(module: ModuleType) -> None:
    results = doctest.testmod(module, verbose=False)
    assert results.attempted > 0
    assert results.failed == 0
