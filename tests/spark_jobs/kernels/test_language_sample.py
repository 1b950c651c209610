"""Parts of languages in a sample."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.kernels.tokenization.language_sample import sample_shares

SIZES = st.dictionaries(st.text("abc", min_size=1, max_size=3), st.integers(0, 10**12), max_size=20)


@pytest.mark.parametrize("exponent", [0.0, 0.3, 0.5, 1.0])
def test_a_language_s_part_goes_with_the_power_of_its_size(exponent):
    sizes = {"en": 16_000, "de": 1_000}
    shares = sample_shares(sizes, exponent, 170)
    parts = {language: share * sizes[language] for language, share in shares.items()}
    assert parts["en"] / parts["de"] == pytest.approx(16**exponent)
    assert sum(parts.values()) == pytest.approx(170)


def test_what_a_small_language_leaves_goes_to_the_others():
    assert sample_shares({"en": 1000, "de": 1000, "gd": 10}, 0, 610) == {"en": 0.3, "de": 0.3, "gd": 1.0}


@given(SIZES, st.floats(0, 1), st.integers(1, 10**13))
def test_the_parts_come_to_the_size_or_to_all_there_is(sizes, exponent, size):
    shares = sample_shares(sizes, exponent, size)
    assert shares.keys() == sizes.keys()
    assert all(0 <= share <= 1 for share in shares.values())
    assert sum(shares[language] * sizes[language] for language in sizes) == pytest.approx(
        min(size, sum(sizes.values())), rel=1e-6
    )
    assert shares == sample_shares(dict(reversed(sizes.items())), exponent, size)
