"""A Hugging Face folder as the first checkpoint of a run, so that training goes on from its weights.

The tokens of the lake must be those of the folder's tokenizer. Beside the model, this process holds gradients and
optimizer state: with AdamW, sixteen bytes a weight in fp32.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import yaml
from pydantic import ValidationError
from safetensors import safe_open
from tokenizers import Tokenizer

from schemas.plumbing.configuration import describe_validation_error
from schemas.plumbing.errors import UsageError
from training.checkpoints.commit import newest_commit
from training.checkpoints.saver import Saver
from training.config import ParallelConfig, TrainingConfig
from training.exchange.hf_layout import from_layout, model_settings
from training.megatron import parallel
from training.megatron.build import build
from training.megatron.initial_weights import fill
from training.prepare import Job, prepare
from training.reading.delta_tokens import open_tokens

RECIPE = "recipe.yaml"
KEPT = ("kernels", "fp8", "balance_loss", "balance_over", "router_z_loss")
"""Keys of the model that the folder does not decide."""


def import_hf(source: Path, config: TrainingConfig, lake: str, out: Path, device: torch.device) -> Path:
    """Commit the weights of the folder `source` as step 0 of a new run in `out`, with no optimizer step behind them.

    Returns the recipe to go on with: `config`, but the model is that of the folder. `UsageError` where the model is
    of another kind, where the lake has tokens of another tokenizer, or where `out` has a run.
    """
    if newest_commit(out):
        raise UsageError(f"{out}: has a run already; choose another --out")
    resolved = _with_model_of(source, config, lake)
    job = prepare(
        resolved.model_copy(update={"parallel": ParallelConfig(shard_optimizer=config.parallel.shard_optimizer)}),
        lake,
        out,
        1,
    )
    _require_same_tokenizer(source, job)
    mesh = parallel.stand_alone(device, resolved.seed)
    try:
        trainer = build(job, mesh, device)
        files = _Weights(source)
        rows = resolved.model.padded_vocabulary(job.table.tokenizer.vocabulary_size)

        def whole(name: str, place: tuple[int, ...], shape: tuple[int, ...]) -> torch.Tensor:
            weight = from_layout(files.get, resolved.model, name, place, rows)
            if tuple(weight.shape) != tuple(shape):
                raise UsageError(
                    f"{source}: {name} is {tuple(weight.shape)} there, and {tuple(shape)} by its config.json"
                )
            return weight

        fill(trainer.state.model, whole)
        # Where weights are 16-bit, the optimizer has its own in 32.
        trainer.optimizer.reload_model_params()
        saver = Saver(
            trainer.state,
            out,
            job.config.checkpoint,
            tokenizer=job.table.tokenizer.definition,
            device=device,
            resumed_step=None,
            moved=lambda: None,
        )
        saver.save(job.commit(0), durable=True)
        saver.close()
    finally:
        parallel.leave()
    recipe = out / RECIPE
    pinned = resolved.model_copy(update={"data": job.config.data})
    recipe.write_text(yaml.safe_dump(pinned.model_dump(mode="json"), sort_keys=False), encoding="utf-8")
    return recipe


class _Weights:
    """Tensors of a folder by name, read when they are asked for, from one file or from several with an index."""

    def __init__(self, folder: Path) -> None:
        index = folder / "model.safetensors.index.json"
        if index.is_file():
            self._files = {
                name: folder / file
                for name, file in json.loads(index.read_text(encoding="utf-8"))["weight_map"].items()
            }
        elif (one := folder / "model.safetensors").is_file():
            with safe_open(one, "pt") as tensors:
                self._files = dict.fromkeys(tensors.keys(), one)
        else:
            raise UsageError(f"{folder}: has neither model.safetensors nor model.safetensors.index.json")
        self._folder = folder

    def get(self, name: str) -> torch.Tensor:
        if name not in self._files:
            raise UsageError(f"{self._folder}: has no weight {name}")
        with safe_open(self._files[name], "pt") as tensors:
            return tensors.get_tensor(name)


def _with_model_of(source: Path, config: TrainingConfig, lake: str) -> TrainingConfig:
    path = source / "config.json"
    if not path.is_file():
        raise UsageError(f"{path}: no such file")
    size = open_tokens(lake, config.data.tokens_version).tokenizer.vocabulary_size
    settings = model_settings(json.loads(path.read_text(encoding="utf-8")), size, str(path))
    kept = {name: getattr(config.model, name) for name in KEPT}
    try:
        return TrainingConfig.model_validate({**config.model_dump(), "model": {**kept, **settings}})
    except ValidationError as error:
        raise UsageError(describe_validation_error(error, str(path))) from None


def _require_same_tokenizer(source: Path, job: Job) -> None:
    """What a tokenizer does between text and ids must be the same; what it puts around a text, and how it decodes,
    may differ."""
    path = source / "tokenizer.json"
    if not path.is_file():
        raise UsageError(
            f"{path}: no such file; without it nothing tells whether the tokens of the lake are those of the model"
        )
    there, here = (_meaning(text) for text in (path.read_text(encoding="utf-8"), job.table.tokenizer.definition))
    for part, value in there.items():
        if here[part] != value:
            raise UsageError(
                f"{path}: its {part} is not that of the tokenizer {job.table.tokenizer.fingerprint[:12]} of "
                f"{job.table.uri}; "
                "tokenise the lake with the model's own tokenizer first"
            )


def _meaning(definition: str) -> dict[str, Any]:
    values = json.loads(Tokenizer.from_str(definition).to_str())
    return {part: values.get(part) for part in ("model", "added_tokens", "normalizer", "pre_tokenizer")}
