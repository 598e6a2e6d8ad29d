"""Which name a transformers model has for its cache."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from jepa_vl.language.hf_cache import cache_argument, cache_of


class New:
    def forward(self, input_ids, cache=None): ...


class Old:
    def forward(self, input_ids, past_key_values=None): ...


@pytest.mark.parametrize(("model", "name"), [(New(), "cache"), (Old(), "past_key_values")])
def test_a_cache_is_given_and_taken_by_the_models_own_name(model, name):
    assert cache_argument(model, "keys") == {name: "keys"}
    assert cache_of(SimpleNamespace(**{name: "keys"})) == "keys"
