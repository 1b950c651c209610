"""Lines that a trained model writes: the whole model on one rank, and the full forward pass for every token, so
nothing but the weights decides."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer

from schemas.plumbing.errors import UsageError
from training.checkpoints.commit import TOKENIZER
from training.config import SampleConfig
from training.evaluation.trained_model import TrainedModel, trained_model


def write_samples(folder: Path, config: SampleConfig, device: torch.device) -> list[str]:
    """Prompts and their continuations from a committed checkpoint of any layout. This process must be in no process
    group."""
    if config.lines == 0:
        return []
    tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
    with trained_model(folder, device) as trained:
        if not trained.config.objective.is_causal:
            raise UsageError(f"{folder}: was trained as {trained.config.objective.kind}, and writes no lines")
        prompt = [trained.commit.end_of_document_id, *tokenizer.encode(config.prompt, add_special_tokens=False).ids]
        return [tokenizer.decode(line, skip_special_tokens=True) for line in continue_prompt(trained, prompt, config)]


def continue_prompt(trained: TrainedModel, prompt: list[int], config: SampleConfig) -> list[list[int]]:
    """Token ids of `config.lines` continuations of `prompt`, the prompt included, each up to its end of document."""
    generator = torch.Generator().manual_seed(config.seed)
    end_of_document_id = trained.commit.end_of_document_id
    tokens = torch.tensor([prompt] * config.lines)
    ended = torch.zeros(config.lines, dtype=torch.bool)
    for _ in range(config.tokens):
        logits = trained.logits(tokens[:, -trained.config.data.sequence_length :])[:, -1]
        if config.temperature == 0:
            chosen = logits.argmax(-1)
        else:
            chosen = torch.multinomial(torch.softmax(logits / config.temperature, -1), 1, generator=generator)[:, 0]
        ended |= chosen == end_of_document_id
        if bool(ended.all()):
            break
        tokens = torch.cat([tokens, torch.where(ended, end_of_document_id, chosen)[:, None]], 1)
    return [line.tolist() for line in tokens]
