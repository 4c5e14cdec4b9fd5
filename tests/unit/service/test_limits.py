"""The limits of a request: what they are, and that none can be switched off."""

from dataclasses import FrozenInstanceError, asdict

import pytest

from digits.errors import ConfigurationError
from digits.service.limits import Limits

DEFAULTS = {"max_body_bytes": 20_000_000, "max_files": 16, "max_batch": 1024, "num_threads": 2}


def test_limits_are_what_the_documents_and_a_replicas_memory_count_on():
    assert asdict(Limits()) == DEFAULTS


@pytest.mark.parametrize("name", DEFAULTS)
@pytest.mark.parametrize("value", [0, -1, 0.5, 2.0, "16", None])
def test_no_limit_can_be_left_out(name, value):
    with pytest.raises(ConfigurationError) as refused:
        Limits(**{name: value})
    assert refused.value.happened == f"{name} = {value!r}"
    assert refused.value.remedy == f"leave {name} out to use {DEFAULTS[name]}"
    assert getattr(Limits(**{name: 1}), name) == 1


def test_limits_are_named_and_stay_as_they_are():
    with pytest.raises(TypeError):
        Limits(5)
    with pytest.raises(FrozenInstanceError):
        Limits().max_files = 1
