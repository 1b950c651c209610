"""Statistics of weights, gradients, updates and activations by layer: the same numbers in every layout."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import psutil
import torch
import torch.distributed as dist
from megatron.core.optimizer import MegatronOptimizer
from megatron.core.optimizer.distrib_optimizer import DistributedOptimizer
from megatron.core.optimizer.optimizer import Float16OptimizerWithFloat16Params
from megatron.core.tensor_parallel import param_is_not_tensor_parallel_duplicate
from megatron.core.transformer.module import param_is_not_shared

from training.megatron.step import Trainer

GRADIENT, WEIGHT, UPDATE = range(3)


@dataclass(frozen=True)
class LayerNumbers:
    """A layer in one step: norms over its weights, the gradient before clipping; of what it gives out, the root of
    the mean square and the largest.

    `update_ratio` is the norm of the update by that of the weights; none where the update was left out. Embeddings
    and the like give out nothing here.
    """

    gradient_norm: float
    weight_norm: float
    update_ratio: float | None
    activation_rms: float | None
    activation_largest: float | None


@dataclass(frozen=True)
class StepStatistics:
    """All layers of a step by name, and the most memory that any rank's process and any GPU's tensors took."""

    step: int
    layers: dict[str, LayerNumbers]
    host_bytes: int
    device_bytes: int

    def line(self) -> str:
        return json.dumps(asdict(self))

    def numbers(self) -> dict[str, float]:
        """For trackers."""
        values = {
            f"{key}/{name}": value
            for name, layer in self.layers.items()
            for key, value in asdict(layer).items()
            if value is not None
        }
        return {**values, "most_host_bytes": self.host_bytes, "most_device_bytes": self.device_bytes}


class LayerProbe:
    """Measures one step. All ranks make the same calls: around the forward pass, before and after the update."""

    def __init__(self, trainer: Trainer, layers: int) -> None:
        self._trainer, self._layers = trainer, layers
        self._places = _places(trainer, layers)
        self._parts = getattr(trainer.optimizer, "chained_optimizers", [trainer.optimizer])
        self._sums = [torch.zeros(3, layers + 3, dtype=torch.float64, device=trainer.device) for _ in self._parts]
        self._activations = torch.zeros(2, layers, dtype=torch.float64, device=trainer.device)
        self._largest = torch.zeros(layers, dtype=torch.float64, device=trainer.device)
        self._before: list[list[torch.Tensor]] | None = None

    @contextmanager
    def watch_activations(self) -> Iterator[None]:
        """Look at what the layers give out meanwhile."""
        handles = [
            layer.register_forward_hook(self._look_at(layer.layer_number - 1))
            for stretch in self._trainer.state.model
            for layer in stretch.decoder.layers
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    @torch.no_grad()
    def before_update(self) -> None:
        """Take gradients and weights as they are; the weights are kept in host memory, so that they cost the device
        nothing."""
        self._before = []
        for part, sums in zip(self._parts, self._sums, strict=True):
            pairs = _weights(part)
            for model_weight, weight in pairs:
                place = self._places[id(model_weight)]
                sums[WEIGHT, place] += _square(weight)
                if weight.grad is not None:
                    sums[GRADIENT, place] += _square(weight.grad)
            self._before.append([weight.detach().to("cpu", copy=True) for _, weight in pairs])

    @torch.no_grad()
    def after_update(self) -> None:
        """Compare the weights with what they were."""
        assert self._before is not None
        for part, sums, before in zip(self._parts, self._sums, self._before, strict=True):
            for (model_weight, weight), former in zip(_weights(part), before, strict=True):
                sums[UPDATE, self._places[id(model_weight)]] += _square(weight - former.to(weight.device))

    def summary(self, step: int) -> StepStatistics:
        """What all ranks have seen of step `step`, from 1."""
        total = torch.zeros_like(self._sums[0])
        for part, sums in zip(self._parts, self._sums, strict=True):
            dist.all_reduce(sums, group=part.get_grad_stats_parallel_group())
            total += sums
        device = self._trainer.device
        used = [
            psutil.Process().memory_info().rss,
            torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0,
        ]
        most = torch.cat([self._largest, torch.tensor(used, dtype=torch.float64, device=device)])
        # Ranks that share a sequence each see a part of it, those that share matrices all see the same: the mean does
        # not mind.
        dist.all_reduce(self._activations)
        dist.all_reduce(most, op=dist.ReduceOp.MAX)
        gradient, weight, update = total.sqrt().tolist()
        mean = (self._activations[0] / self._activations[1].clamp(min=1)).sqrt().tolist()
        layers = {}
        for place, name in enumerate(layer_names(self._layers)):
            ratio = update[place] / weight[place] if update[place] and weight[place] else None
            inner = 1 <= place <= self._layers
            seen = (mean[place - 1], float(most[place - 1])) if inner else (None, None)
            if weight[place]:
                layers[name] = LayerNumbers(gradient[place], weight[place], ratio, *seen)
        return StepStatistics(step, layers, int(most[-2]), int(most[-1]))

    def _look_at(self, layer: int) -> Any:
        def hook(module: Any, inputs: Any, output: Any) -> None:
            hidden = (output[0] if isinstance(output, tuple) else output).detach().double()
            self._activations[0, layer] += hidden.pow(2).sum()
            self._activations[1, layer] += hidden.numel()
            self._largest[layer] = torch.maximum(self._largest[layer], hidden.abs().max())

        return hook


def layer_names(layers: int) -> list[str]:
    """Names in the order of `LayerProbe`'s places: the embedding, the layers from 1, the final norm, and an output
    layer of its own."""
    width = len(str(layers))
    return ["embedding", *(f"layer {number:0{width}d}" for number in range(1, layers + 1)), "final norm", "output"]


def _places(trainer: Trainer, layers: int) -> dict[int, int]:
    """The place of every weight of this rank, by its identity."""
    places = {}
    for stretch in trainer.state.model:
        for name, weight in stretch.named_parameters():
            place = 0
            if ".layers." in name:
                place = stretch.decoder.layers[int(name.split(".layers.")[1].split(".")[0])].layer_number
            elif "final_layernorm" in name:
                place = layers + 1
            elif "output_layer" in name:
                place = layers + 2
            places[id(weight)] = place
    return places


def _weights(part: MegatronOptimizer) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The model's weights and, of each, what this optimizer keeps in full precision: all of it or this rank's shard.
    Copies count on one rank only."""
    if getattr(part, "is_stub_optimizer", False):
        return []
    if isinstance(part, DistributedOptimizer):
        groups = [
            (part.model_float16_groups, part.shard_fp32_from_float16_groups),
            (part.model_fp32_groups, part.shard_fp32_groups),
        ]
    elif isinstance(part, Float16OptimizerWithFloat16Params):
        groups = [
            (part.float16_groups, part.fp32_from_float16_groups),
            (part.fp32_from_fp32_groups, part.fp32_from_fp32_groups),
        ]
    else:
        own = [group["params"] for group in part.optimizer.param_groups]
        groups = [(own, own)]
    pairs = [
        pair
        for model, main in groups
        for names, weights in zip(model, main, strict=True)
        for pair in zip(names, weights, strict=True)
    ]
    tensor_groups = {
        "tp_group": getattr(part, "tp_group", None),
        "expert_tp_group": getattr(part, "expert_tp_group", None),
    }
    return [
        pair
        for pair in pairs
        if param_is_not_shared(pair[0]) and param_is_not_tensor_parallel_duplicate(pair[0], **tensor_groups)
    ]


def _square(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().double().pow(2).sum()
