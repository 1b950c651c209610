"""Ids of the tokens that an objective puts between those of pages: the tokenizer's own, or else ids that pad the
vocabulary."""

from __future__ import annotations

import json

from schemas.plumbing.errors import UsageError
from training.settings.objective import ObjectiveConfig

NAMES = {
    "causal": (),
    "fill_in_the_middle": (
        ("<|fim_prefix|>", "<fim_prefix>"),
        ("<|fim_middle|>", "<fim_middle>"),
        ("<|fim_suffix|>", "<fim_suffix>"),
    ),
    "masked": (("<|mask|>", "<mask>", "[MASK]"),),
}
"""What each objective needs, in order, each under the names that tokenizers give it; the first is what
`train_tokenizer` should be asked for."""


def special_ids(
    config: ObjectiveConfig, definition: str, *, vocabulary_size: int, padded_vocabulary: int
) -> tuple[int, ...]:
    """Token ids of what the objective needs, in the order of `NAMES`; `UsageError` where there is no room for them.

    `definition` is the tokenizer as JSON. Only its special tokens count: no page can produce their ids.
    """
    own = _special_tokens(definition)
    spare = iter(range(vocabulary_size, padded_vocabulary))
    found, missing = [], []
    for names in NAMES[config.kind]:
        number = next((own[name] for name in names if name in own), None)
        if number is None:
            number = next(spare, None)
        if number is None:
            missing.append(names[0])
        else:
            found.append(number)
    if missing:
        wanted = json.dumps([names[0] for names in NAMES[config.kind]])
        raise UsageError(
            f"objective.kind: {config.kind} needs {', '.join(missing)}, which the tokenizer lacks, and its "
            f"{vocabulary_size} ids fill the padded vocabulary; "
            f"set train_tokenizer.special_tokens to {wanted} and tokenise again, or raise model.vocabulary_multiple"
        )
    return tuple(found)


def names_in_padding(config: ObjectiveConfig, definition: str) -> tuple[str, ...]:
    """What the objective needs and the tokenizer lacks, in the order of the ids that it gets from the first one
    after the vocabulary on."""
    own = _special_tokens(definition)
    return tuple(names[0] for names in NAMES[config.kind] if not any(name in own for name in names))


def _special_tokens(definition: str) -> dict[str, int]:
    return {
        token["content"]: int(token["id"])
        for token in json.loads(definition).get("added_tokens", ())
        if token["special"]
    }
