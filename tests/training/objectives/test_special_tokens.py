"""Sentinels come from the tokenizer, or from ids that only pad the vocabulary, or the run is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from schemas.plumbing.errors import UsageError
from training.exchange.export_hf import write_tokenizer
from training.objectives.special_tokens import names_in_padding, special_ids
from training.settings.objective import ObjectiveConfig


def definition(*names: str) -> str:
    return json.dumps(
        {"added_tokens": [{"content": name, "id": number, "special": True} for number, name in enumerate(names)]}
    )


def test_the_tokenizer_s_own_are_found_by_name() -> None:
    own = definition("<|endoftext|>", "<|fim_suffix|>", "<|fim_prefix|>", "<|fim_middle|>", "[MASK]")
    assert special_ids(ObjectiveConfig(kind="fill_in_the_middle"), own, vocabulary_size=300, padded_vocabulary=300) == (
        2,
        3,
        1,
    )
    assert special_ids(ObjectiveConfig(kind="masked"), own, vocabulary_size=300, padded_vocabulary=300) == (4,)


def test_missing_ones_take_ids_that_pad_the_vocabulary() -> None:
    own = definition("<|endoftext|>", "<|fim_middle|>")
    assert special_ids(ObjectiveConfig(kind="fill_in_the_middle"), own, vocabulary_size=300, padded_vocabulary=384) == (
        300,
        1,
        301,
    )


def test_their_names_are_in_the_order_of_their_ids() -> None:
    assert names_in_padding(
        ObjectiveConfig(kind="fill_in_the_middle"), definition("<|endoftext|>", "<|fim_middle|>")
    ) == ("<|fim_prefix|>", "<|fim_suffix|>")
    assert names_in_padding(ObjectiveConfig(kind="masked"), definition("[MASK]")) == ()


def test_an_exported_tokenizer_knows_them_by_these_ids(tokenizer: Tokenizer, tmp_path: Path) -> None:
    config, size = ObjectiveConfig(kind="fill_in_the_middle"), tokenizer.get_vocab_size()
    tokenizer.save(str(tmp_path / "trained.json"))
    names = names_in_padding(config, tokenizer.to_str())
    write_tokenizer(tmp_path / "trained.json", tmp_path, end_of_document_id=0, sequence_length=64, added=names)
    found = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    expected = special_ids(config, tokenizer.to_str(), vocabulary_size=size, padded_vocabulary=size + 64)
    assert tuple(found.token_to_id(name) for name in names) == expected
    assert found.encode("The river").ids == tokenizer.encode("The river").ids


def test_an_ordinary_token_of_that_name_is_none() -> None:
    own = json.dumps({"added_tokens": [{"content": "<|mask|>", "id": 7, "special": False}]})
    assert special_ids(ObjectiveConfig(kind="masked"), own, vocabulary_size=300, padded_vocabulary=384) == (300,)


def test_without_room_the_message_says_what_to_set() -> None:
    message = (
        'its 384 ids fill the padded vocabulary; set train_tokenizer.special_tokens to ["<|mask|>"] and tokenise again'
    )
    with pytest.raises(UsageError, match=re.escape(message)):
        special_ids(
            ObjectiveConfig(kind="masked"), definition("<|endoftext|>"), vocabulary_size=384, padded_vocabulary=384
        )


def test_the_causal_objective_needs_none() -> None:
    assert special_ids(ObjectiveConfig(), definition(), vocabulary_size=384, padded_vocabulary=384) == ()
