"""A tokenizer of each kind beside an exported model, as transformers loads it."""

from __future__ import annotations

import json
import string
from collections.abc import Callable
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from training.exchange.export_hf import write_tokenizer

SPECIAL_TOKENS = ("<|endoftext|>", "<|padding|>", "<|user|>")
TEXTS = [
    f"The river {name} feeds {n * 37} mills; {string.printable}"
    for n, name in enumerate(["Aar", "Inn", "Ob", "Po", "Rhône", "Дон"])
]


@pytest.mark.parametrize("kind", ["byte-level-bpe", "sentencepiece-bpe", "sentencepiece-unigram"])
def test_auto_tokenizer_gives_the_same_ids_and_the_same_text(
    kind: str, tokenizer_of_kind: Callable[..., Tokenizer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    transformers = pytest.importorskip(
        "transformers", reason="transformers is not installed: pip install headwater[eval]"
    )
    tokenizer = tokenizer_of_kind(kind, TEXTS, SPECIAL_TOKENS)
    tokenizer.save(str(tmp_path / "trained.json"))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama", "architectures": ["LlamaForCausalLM"]}))
    write_tokenizer(
        tmp_path / "trained.json",
        tmp_path,
        end_of_document_id=tokenizer.token_to_id("<|endoftext|>"),
        sequence_length=64,
    )
    loaded = transformers.AutoTokenizer.from_pretrained(tmp_path)
    for text in (*TEXTS, "  two  spaces \n\n\tcafe\u0301 2026 \u2581 \U0001f30a <unk> <0x41> .", " ", ""):
        ids = tokenizer.encode(text).ids
        assert loaded(text).input_ids == ids
        assert loaded.decode(ids) == text
    assert loaded.convert_tokens_to_ids(list(SPECIAL_TOKENS)) == [
        tokenizer.token_to_id(name) for name in SPECIAL_TOKENS
    ]
    assert loaded("<|user|>Hello<|endoftext|>").input_ids[0] == tokenizer.token_to_id("<|user|>")
    assert (loaded.eos_token_id, loaded.model_max_length) == (tokenizer.token_to_id("<|endoftext|>"), 64)
    assert len(loaded) == tokenizer.get_vocab_size()
