"""The contract's asserts explain themselves like those of any test."""

import pytest

pytest.register_assert_rewrite(
    "apps.tests.services.vectors.contract", "apps.tests.services.vectors.processes"
)
