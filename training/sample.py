"""Lines that a trained model writes: the whole model on one rank, and the full forward pass for every token, so nothing but the weights decides."""

from __future__ import annotations

from pathlib import Path

import torch
from megatron.core import dist_checkpointing
from megatron.core.models.gpt import GPTModel
from tokenizers import Tokenizer

from training import parallel
from training.commit import TOKENIZER, read_commit
from training.config import ParallelConfig, SampleConfig, TrainingConfig
from training.model import build_model


def write_samples(folder: Path, config: SampleConfig, device: torch.device) -> list[str]:
    """Prompts and their continuations from a committed checkpoint of any layout. This process must be in no process group."""
    if config.lines == 0:
        return []
    commit = read_commit(folder)
    trained = TrainingConfig.model_validate(commit.config)
    tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
    mesh = parallel.stand_alone(device, trained.seed)
    try:
        model, _ = build_model(
            trained.model,
            ParallelConfig(),
            mesh,
            device,
            vocabulary_size=commit.vocabulary_size,
            sequence_length=trained.data.sequence_length,
            dtype=torch.bfloat16 if device.type == "cuda" else torch.float32,
            seed=trained.seed,
        )
        loaded = dist_checkpointing.load({"model": model.sharded_state_dict(metadata=parallel.checkpoint_metadata())}, str(folder))
        model.load_state_dict(loaded["model"], strict=True)
        model.eval()
        prompt = [commit.end_of_document_id, *tokenizer.encode(config.prompt, add_special_tokens=False).ids]
        lines = continue_prompt(
            model,
            prompt,
            config,
            vocabulary_size=commit.vocabulary_size,
            end_of_document_id=commit.end_of_document_id,
            sequence_length=trained.data.sequence_length,
            device=device,
        )
        return [tokenizer.decode(line, skip_special_tokens=True) for line in lines]
    finally:
        parallel.leave()


@torch.inference_mode()
def continue_prompt(
    model: GPTModel,
    prompt: list[int],
    config: SampleConfig,
    *,
    vocabulary_size: int,
    end_of_document_id: int,
    sequence_length: int,
    device: torch.device,
) -> list[list[int]]:
    """Token ids of `config.lines` continuations of `prompt`, the prompt included, each up to its end of document."""
    generator = torch.Generator().manual_seed(config.seed)
    tokens = torch.tensor([prompt] * config.lines)
    ended = torch.zeros(config.lines, dtype=torch.bool)
    for _ in range(config.tokens):
        context = tokens[:, -sequence_length:].to(device)
        positions = torch.arange(context.shape[1], device=device).expand_as(context)
        # Padded ids are no tokens.
        logits = model(context, positions, None)[:, -1, :vocabulary_size].float().cpu()
        if config.temperature == 0:
            chosen = logits.argmax(-1)
        else:
            chosen = torch.multinomial(torch.softmax(logits / config.temperature, -1), 1, generator=generator)[:, 0]
        ended |= chosen == end_of_document_id
        if bool(ended.all()):
            break
        tokens = torch.cat([tokens, torch.where(ended, end_of_document_id, chosen)[:, None]], 1)
    return [line.tolist() for line in tokens]
