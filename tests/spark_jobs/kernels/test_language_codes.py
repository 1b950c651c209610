"""Names of languages."""

from __future__ import annotations

import pytest

from spark_jobs.kernels.models.language_codes import short_name, short_names_of_model


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("deu", "de"),
        ("deu_1901", "de"),
        ("deu_Latn", "de"),
        ("cmn_hans", "zh"),
        ("arb", "ar"),
        ("als", "sq"),
        ("srp_cyrl", "sr"),
        ("pam", "pam"),
        ("en", "en"),
    ],
)
def test_codes_of_corpora_become_short_names(label, expected):
    assert short_name(label) == expected


def test_labels_of_wikipedia_are_told_from_those_of_iso():
    assert short_names_of_model(["en", "als", "zh"]) == {"en": "en", "als": "gsw", "zh": "zh"}
    assert short_names_of_model(["eng_Latn", "als_Latn"]) == {"eng_Latn": "en", "als_Latn": "sq"}
