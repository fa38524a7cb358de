"""Gradients of a DEQ under DistributedDataParallel equal those of one process on the whole batch."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytestmark = [pytest.mark.distributed, pytest.mark.slow]

PROGRAM = """
import sys
import torch
from torch import nn
from sevenfold.deq.layer import DEQ
from sevenfold.deq.base import Stop
from sevenfold.deq.norm import frozen_weights, normalize


class Model(nn.Module):
    def __init__(self, backward):
        super().__init__()
        torch.manual_seed(0)
        self.cell = normalize(nn.Linear(6, 6, dtype=torch.float64), "weight")
        self.inlet = nn.Linear(3, 6, dtype=torch.float64)
        options = {"name": backward} | ({"tol": 1e-12, "max_products": 100} if backward == "implicit" else {})
        self.deq = DEQ(backward=options, max_iter=80, stop=Stop(tol=1e-12))

    def forward(self, x):
        u = self.inlet(x)
        with frozen_weights(self.cell):
            states, _ = self.deq(lambda z: (torch.tanh(0.5 * self.cell(z[0]) + u),), (torch.zeros_like(u),))
        return states[-1][0]


def gradients(backward, rank, world):
    x = torch.randn(8, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    x[4:] *= 5  # the ranks need different numbers of steps, forward and backward
    model = Model(backward)
    if world > 1:
        model = nn.parallel.DistributedDataParallel(model)
    share = len(x) // world
    for _ in range(2):  # the second pass meets whatever the first left behind
        model.zero_grad()
        model(x[rank * share : (rank + 1) * share]).square().mean().backward()
    return {f"{backward} {name.removeprefix('module.')}": p.grad for name, p in model.named_parameters()}


rank, world, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
if world > 1:
    meet = f"file://{folder}/meet"
    torch.distributed.init_process_group("gloo", init_method=meet, rank=rank, world_size=world)
found = gradients("implicit", rank, world) | gradients("phantom", rank, world)
torch.save(found, f"{folder}/{world}-{rank}.pt")
if world > 1:
    torch.distributed.destroy_process_group()
"""


def test_two_processes_give_the_gradients_of_one(tmp_path):
    root = Path(__file__).resolve().parents[2]
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)

    def run(rank, world):
        command = [sys.executable, str(program), str(rank), str(world), str(tmp_path)]
        return subprocess.Popen(command, cwd=tmp_path, env={"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"})

    for process in [run(0, 1), run(0, 2), run(1, 2)]:
        assert process.wait(timeout=900) == 0
    one, first, second = (torch.load(tmp_path / f"{name}.pt") for name in ("1-0", "2-0", "2-1"))
    assert len(one) == 10
    for name, gradient in one.items():
        torch.testing.assert_close(first[name], gradient, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(second[name], first[name], rtol=0, atol=0)
