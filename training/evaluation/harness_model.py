"""An exported model as lm-evaluation-harness asks for it. The harness's own class for such models needs accelerate
and peft; this one transformers alone."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import batched
from pathlib import Path
from typing import Any

import torch
from lm_eval.api.model import TemplateLM
from lm_eval.models.utils import handle_stop_sequences, normalize_gen_kwargs
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window
from transformers import AutoModelForCausalLM, AutoTokenizer

type ScoringRequest = tuple[Any, list[int], list[int]]
"""Whatever it was made from, the tokens of the context, and those to score after it."""


class ExportedModel(TemplateLM):
    """A Hugging Face folder on one device; `batch_size` sequences are scored at once."""

    def __init__(self, folder: Path, device: str, batch_size: int) -> None:
        super().__init__()
        self._device = torch.device(device)
        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        self._model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto").to(self._device).eval()
        self._longest = int(self._model.config.max_position_embeddings)
        self._batch_size = batch_size

    @property
    def eot_token_id(self) -> int:
        return int(self.tokenizer.eos_token_id)

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **kwargs: Any) -> list[int]:
        return list(self.tokenizer.encode(string, add_special_tokens=bool(add_special_tokens)))

    def loglikelihood_rolling(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[float]:
        """Log-probability of each text in nats; every token is predicted once, in windows as long as the model's
        longest sequence."""
        windows: list[ScoringRequest] = []
        owners = []
        for number, (text,) in enumerate(request.args for request in requests):
            found = get_rolling_token_windows(
                self.tok_encode(text), prefix_token=self.prefix_token_id, max_seq_len=self._longest, context_len=1
            )
            for context, scored in map(make_disjoint_window, found):
                windows.append((None, context, scored))
                owners.append(number)
        totals = [0.0] * len(requests)
        for owner, (score, _) in zip(owners, self._loglikelihood_tokens(windows), strict=True):
            totals[owner] += score
        return totals

    @torch.inference_mode()
    def _loglikelihood_tokens(self, requests: Sequence[ScoringRequest], **kwargs: Any) -> list[tuple[float, bool]]:
        """For each request: log-probability of its second tokens after its first, in nats, and whether they are the
        likeliest. Contexts are cut on the left."""
        rows = [(context + scored)[-(self._longest + 1) :] for _, context, scored in requests]
        results: list[tuple[float, bool]] = [(0.0, False)] * len(rows)
        # The longest first: what does not fit in memory fails at once, and rows of a batch are about equally long.
        for numbers in batched(sorted(range(len(rows)), key=lambda number: -len(rows[number])), self._batch_size):
            inputs = torch.zeros(len(numbers), len(rows[numbers[0]]) - 1, dtype=torch.long)
            for place, number in enumerate(numbers):
                inputs[place, : len(rows[number]) - 1] = torch.tensor(rows[number][:-1])
            # What fills up a row comes after all that is scored, where a causal model does not see it.
            logits = self._model(inputs.to(self._device)).logits
            for place, number in enumerate(numbers):
                wanted = torch.tensor(requests[number][2], device=self._device)
                end = len(rows[number]) - 1
                if len(wanted) > end:
                    raise ValueError(
                        f"{len(wanted)} tokens to score are more than the {self._longest} that the model sees at once"
                    )
                own = logits[place, end - len(wanted) : end].float().log_softmax(-1)
                results[number] = (float(own.gather(-1, wanted[:, None]).sum()), bool((own.argmax(-1) == wanted).all()))
        return results

    @torch.inference_mode()
    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        """The continuation of each context up to its first stop text, one at a time, so that nothing but its context
        decides."""
        end = self.tokenizer.decode([self.eot_token_id])
        texts = []
        for context, asked in (request.args for request in requests):
            settings = normalize_gen_kwargs(asked, 256)
            stops, most = handle_stop_sequences(settings.pop("until", None), eos=end), settings.pop("max_gen_toks")
            if most >= self._longest:
                raise ValueError(
                    f"max_gen_toks {most} leaves no room for a context in the {self._longest} tokens that the model "
                    f"sees at once"
                )
            if not settings.get("do_sample"):
                settings = {"do_sample": False}
            tokens = torch.tensor(
                [self.tok_encode(context)[-(self._longest - most) :] or [self.prefix_token_id]], device=self._device
            )
            made = self._model.generate(
                tokens,
                attention_mask=torch.ones_like(tokens),
                max_new_tokens=most,
                pad_token_id=self.eot_token_id,
                stop_strings=stops,
                tokenizer=self.tokenizer,
                **settings,
            )
            text = self.tokenizer.decode(made[0, tokens.shape[1] :])
            texts.append(text[: min((place for stop in stops if (place := text.find(stop)) >= 0), default=len(text))])
        return texts
