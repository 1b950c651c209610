"""The device of this process, and what makes megatron-core run on a machine without a GPU.

megatron-core names CUDA in about two hundred places. Where there is no GPU, the names are made to mean the CPU;
where there is one, they are left alone. Every monkeypatch of the project is in this file, each with the reason why
it is needed.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import queue
from functools import cache
from typing import Any

import torch
from torch._dynamo import config as dynamo_config
from torch.overrides import TorchFunctionMode

CPU = torch.device("cpu")
CHECKED = "0.19.2"
"""The megatron-core whose faults are repaired here."""


@cache
def prepare_device(local_rank: int) -> torch.device:
    """The device of this rank. Call it before the first import of megatron.core, whose decorators bind
    `torch.compile` at import."""
    if torch.cuda.is_available():
        device = torch.device("cuda", local_rank % torch.cuda.device_count())
        torch.cuda.set_device(device)
    else:
        device = CPU
        _let_cuda_mean_cpu()
    _save_in_this_process()
    _require_checked_version()
    _load_sharded_adam()
    _load_adam_that_took_no_step()
    return device


def set_threads(ranks_on_this_machine: int) -> int:
    """Share the cores between the ranks; returns the threads of this one."""
    threads = int(os.environ.get("OMP_NUM_THREADS") or max(1, len(os.sched_getaffinity(0)) // ranks_on_this_machine))
    torch.set_num_threads(threads)
    return threads


def _save_in_this_process() -> None:
    """Give megatron-core a plain queue for the results of writing a checkpoint.

    Its own is served by a helper process, which a synchronous save has no use for, takes seconds to start, and
    outlives a rank that is killed.
    """
    from megatron.core.dist_checkpointing.strategies import filesystem_async

    filesystem_async._results_queue = queue.SimpleQueue()


def _load_sharded_adam() -> None:
    """Let the distributed optimizer load the state of torch's AdamW, which it uses where neither Transformer Engine
    nor Apex is installed.

    It asks every loaded weight for a `step` of its own, which is stored once for all.
    """
    from megatron.core.optimizer.distrib_optimizer import DistributedOptimizer

    take = DistributedOptimizer._set_main_param_and_optimizer_states
    DistributedOptimizer._set_main_param_and_optimizer_states = lambda self, weight, tensors: take(
        self, weight, {"step": None, **tensors}
    )


def _load_adam_that_took_no_step() -> None:
    """Let the other optimizers load AdamW's state from the checkpoint of an imported model: a count of 0 steps is
    taken for none, and not stored."""
    from megatron.core.optimizer.optimizer import Float16OptimizerWithFloat16Params, FP32Optimizer

    def with_steps(load: Any) -> Any:
        def load_state_dict(self: Any, state_dict: dict[str, Any]) -> None:
            state = state_dict.get("optimizer", state_dict)["state"]
            for of_weight in state.values() if "common_step" not in state else ():
                if "exp_avg" in of_weight:
                    of_weight["step"] = torch.tensor(0.0)
            load(self, state_dict)

        return load_state_dict

    for kind in (FP32Optimizer, Float16OptimizerWithFloat16Params):
        kind.load_state_dict = with_steps(kind.load_state_dict)


def _require_checked_version() -> None:
    if (version := importlib.metadata.version("megatron-core")) != CHECKED:
        raise RuntimeError(
            f"megatron-core {version}: the repairs in {__name__} were made for {CHECKED}; see whether they are still "
            f"needed"
        )


def _let_cuda_mean_cpu() -> None:
    cuda: Any = torch.cuda
    # Asked for by the model, DDP, the optimizer and pipeline communication; the real one raises without a driver.
    cuda.current_device = lambda: CPU
    cuda.set_device = lambda device: None
    # The pipeline schedule waits for the device after each exchange; on a CPU all work is done when the call returns.
    cuda.synchronize = lambda device=None: None
    # DDP orders its gradient exchange by streams.
    cuda.current_stream = lambda device=None: _Stream()
    cuda.stream = lambda stream: contextlib.nullcontext()
    # Experts' tokens are exchanged on one of their own.
    cuda.Stream, cuda.Event = _Stream, _Event
    # Silent otherwise: without a driver the real ones queue the call for ever, and seeds and saved states have no
    # effect. Not torch.manual_seed, which calls torch.cuda.manual_seed again.
    cuda.manual_seed = torch.default_generator.manual_seed
    # Under both of its names: sequence parallelism asks for the second.
    cuda.get_rng_state = cuda.random.get_rng_state = lambda device=None: torch.get_rng_state()
    cuda.set_rng_state = lambda state, device=None: torch.set_rng_state(state)

    # megatron-core's fusions are torch.compile, which would start a C++ compiler.
    dynamo_config.disable = True

    import megatron.core.tensor_parallel.random as parallel_random
    import megatron.core.transformer.moe.token_dispatcher as token_dispatcher

    # The real one makes plain numbers of the counts that are exchanged only where they are on a GPU.
    token_dispatcher.maybe_move_tensor_to_cpu = lambda tensor, as_numpy=False, record_stream=False: (
        tensor.numpy() if as_numpy and torch.is_tensor(tensor) else tensor
    )
    parallel_random._set_cuda_rng_state = lambda state, device=-1, graph_safe=False: torch.set_rng_state(state)
    # Process-wide and for good: about half a microsecond for each call into torch.
    _CudaNames().__enter__()


class _CudaNames(TorchFunctionMode):
    """Literal "cuda" devices become the CPU, and tensors give the type names that megatron-core's assertions compare
    with."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if _is_cuda(kwargs.get("device")):
            kwargs["device"] = CPU
        kwargs.pop("pin_memory", None)
        if func is torch.Tensor.cuda:
            return args[0]
        if func is torch.Tensor.to and len(args) > 1 and _is_cuda(args[1]):
            args = (args[0], CPU, *args[2:])
        result = func(*args, **kwargs)
        if func is torch.Tensor.type and isinstance(result, str):
            return result.replace("torch.", "torch.cuda.", 1)
        return result


def _is_cuda(device: Any) -> bool:
    return (isinstance(device, torch.device) and device.type == "cuda") or (
        isinstance(device, str) and device.startswith("cuda")
    )


class _Stream:
    """The one stream of a CPU: everything on it has already happened."""

    def __init__(self, *arguments: Any, **options: Any) -> None: ...

    def wait_stream(self, stream: Any) -> None: ...

    def wait_event(self, event: Any) -> None: ...

    def synchronize(self) -> None: ...

    def record_event(self, event: Any = None) -> _Event:
        return _Event()


class _Event:
    """A moment on that stream, which has passed."""

    def __init__(self, *arguments: Any, **options: Any) -> None: ...

    def record(self, stream: Any = None) -> None: ...

    def wait(self, stream: Any = None) -> None: ...

    def synchronize(self) -> None: ...
