"""Strategies of several devices with options, for a ``trainer.strategy`` that is a mapping."""

import functools
from datetime import timedelta
from typing import Literal

from pytorch_lightning.strategies import DDPStrategy, FSDPStrategy
from torch.distributed.fsdp.wrap import size_based_auto_wrap_policy

from sevenfold.ranges import Count, Positive

Backend = Literal["nccl", "gloo", "mpi"]
Sharding = Literal["FULL_SHARD", "SHARD_GRAD_OP", "HYBRID_SHARD", "NO_SHARD"]


def ddp(
    *,
    find_unused_parameters: bool = False,
    static_graph: bool = False,
    gradient_as_bucket_view: bool = False,
    process_group_backend: Backend | None = None,
    timeout_minutes: Positive = 30.0,
    start_method: Literal["popen", "spawn", "fork", "forkserver"] = "popen",
) -> DDPStrategy:
    """Distributed data parallel: one process a device, gradients averaged.

    Args:
        find_unused_parameters: whether a step may leave parameters without a gradient.
        static_graph: whether every step uses the same parameters, which allows further savings.
        gradient_as_bucket_view: whether gradients share memory with the buffers that are sent.
        process_group_backend: what carries the messages; null: nccl on GPUs, gloo elsewhere.
        timeout_minutes: how long a process waits for the others, in minutes.
        start_method: how the other processes are started on this machine.
    """
    return DDPStrategy(
        find_unused_parameters=find_unused_parameters,
        static_graph=static_graph,
        gradient_as_bucket_view=gradient_as_bucket_view,
        process_group_backend=process_group_backend,
        timeout=timedelta(minutes=timeout_minutes),
        start_method=start_method,
    )


def fsdp(
    *,
    sharding_strategy: Sharding = "FULL_SHARD",
    wrap_parameters: Count | None = 1_000_000,
    cpu_offload: bool = False,
    state_dict_type: Literal["full", "sharded"] = "full",
    process_group_backend: Backend | None = None,
    timeout_minutes: Positive = 30.0,
) -> FSDPStrategy:
    """Fully sharded data parallel: parameters, gradients and optimizer states divided among the devices.

    Args:
        sharding_strategy: what is divided: everything, gradients and optimizer states alone, everything
            within a node, or nothing.
        wrap_parameters: modules with more parameters than this are divided by themselves; null: the whole
            model at once.
        cpu_offload: whether divided parameters wait in the memory of the CPU.
        state_dict_type: whether a checkpoint is one file or one for each process.
        process_group_backend: what carries the messages; null: nccl on GPUs, gloo elsewhere.
        timeout_minutes: how long a process waits for the others, in minutes.
    """
    policy = None
    if wrap_parameters is not None:
        policy = functools.partial(size_based_auto_wrap_policy, min_num_params=wrap_parameters)
    return FSDPStrategy(
        sharding_strategy=sharding_strategy,
        auto_wrap_policy=policy,
        cpu_offload=cpu_offload,
        state_dict_type=state_dict_type,
        process_group_backend=process_group_backend,
        timeout=timedelta(minutes=timeout_minutes),
    )
