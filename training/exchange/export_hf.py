"""A checkpoint as a Hugging Face folder, from any layout, with neither megatron-core nor transformers.

The shards are in torch's distributed checkpoint format, which puts them together by name: layers are stacked along a
first axis.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed.checkpoint as sharded
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch.distributed.checkpoint.metadata import TensorStorageMetadata

from schemas.plumbing.errors import UsageError
from training.checkpoints.commit import TOKENIZER, read_commit
from training.config import ModelConfig, TrainingConfig
from training.exchange.hf_layout import layout_config, stored_names, to_layout
from training.objectives.special_tokens import names_in_padding


def export(checkpoint: Path, out: Path) -> Path:
    """Write the committed `checkpoint` to the folder `out`; returns `out`."""
    commit = read_commit(checkpoint)
    config = TrainingConfig.model_validate(commit.config)
    if config.objective.kind == "masked":
        raise UsageError(
            f"{checkpoint}: objective.kind is masked, and the layouts that are known here are of models that see no "
            f"later token"
        )
    weights = dict(to_layout(load_whole(checkpoint, config.model), config.model))
    out.mkdir(parents=True, exist_ok=True)
    save_file(weights, out / "model.safetensors", metadata={"format": "pt"})
    (out / "model.safetensors").chmod(0o644)
    length = max([config.data.sequence_length, *(stage.sequence_length or 0 for stage in config.stages)])
    dtype = str(weights["model.norm.weight"].dtype).removeprefix("torch.")
    values = layout_config(
        config.model,
        rows=config.model.padded_vocabulary(commit.vocabulary_size),
        sequence_length=length,
        end_of_document_id=commit.end_of_document_id,
        dtype=dtype,
    )
    _write_json(out / "config.json", values)
    _write_json(
        out / "generation_config.json",
        {"bos_token_id": commit.end_of_document_id, "eos_token_id": commit.end_of_document_id, "do_sample": True},
    )
    added = names_in_padding(config.objective, (checkpoint / TOKENIZER).read_text(encoding="utf-8"))
    write_tokenizer(
        checkpoint / TOKENIZER, out, end_of_document_id=commit.end_of_document_id, sequence_length=length, added=added
    )
    return out


def load_whole(checkpoint: Path, config: ModelConfig) -> dict[str, torch.Tensor]:
    """The model's weights, whole, by megatron-core's names; layers stacked [layers, ...], and experts [layers,
    experts, ...]. Optimizer state is not read."""
    reader = sharded.FileSystemReader(checkpoint)
    stored = reader.read_metadata().state_dict_metadata
    wanted: dict[str, Any] = {}
    for name in stored_names(config):
        entry = stored.get(name)
        if not isinstance(entry, TensorStorageMetadata):
            raise KeyError(f"{checkpoint}: has no weight {name}")
        wanted[name] = torch.empty(entry.size, dtype=entry.properties.dtype)
    sharded.load(wanted, storage_reader=reader, no_dist=True)
    return wanted


def write_tokenizer(
    definition: Path, out: Path, *, end_of_document_id: int, sequence_length: int, added: Sequence[str] = ()
) -> None:
    """The tokenizer, of any kind, as `AutoTokenizer` loads it from the folder `out`: its JSON holds all that it does.

    Special tokens `added` get the ids after its own.
    """
    if added:
        tokenizer = Tokenizer.from_file(str(definition))
        tokenizer.add_special_tokens(list(added))
        tokenizer.save(str(out / "tokenizer.json"))
    else:
        shutil.copyfile(definition, out / "tokenizer.json")
    end = Tokenizer.from_file(str(out / "tokenizer.json")).id_to_token(end_of_document_id)
    special = {"bos_token": end, "eos_token": end}
    _write_json(out / "special_tokens_map.json", special)
    _write_json(
        out / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": sequence_length,
            "clean_up_tokenization_spaces": False,
            **special,
        },
    )


def _write_json(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
