"""How much of each language goes into a sample, so that small ones are heard beside large ones."""

from __future__ import annotations

from collections.abc import Mapping


def sample_shares(characters: Mapping[str, int], exponent: float, size: float) -> dict[str, float]:
    """The share of each language's text, in 0..1, for a sample of `size` characters in which language l has a part
    proportional to n_l ** exponent.

    Conneau et al. 2020 (XLM-R, arXiv 1911.02116, section 3.1) with one difference: no text is taken twice, so a
    language that has less than its part is taken whole, and what it leaves goes to the others in the same
    proportions.
    """
    open_weights = {language: n**exponent for language, n in sorted(characters.items()) if n > 0}
    shares = dict.fromkeys(characters, 0.0)
    while open_weights:
        per_weight = size / sum(open_weights.values())
        whole = [language for language, weight in open_weights.items() if weight * per_weight >= characters[language]]
        if not whole:
            return shares | {
                language: weight * per_weight / characters[language] for language, weight in open_weights.items()
            }
        for language in whole:
            shares[language] = 1.0
            size -= characters[language]
            del open_weights[language]
    return shares
