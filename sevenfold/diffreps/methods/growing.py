"""Coarse-to-fine sampling: a voxel field whose resolution grows as noise falls (as in Sun et al. 2022)."""

from typing import Literal

import torch
from torch import Tensor

from sevenfold.config import ConfigError
from sevenfold.diffreps.guidance import Guidance
from sevenfold.diffreps.methods.base import State
from sevenfold.diffreps.methods.plan import Rounds
from sevenfold.diffreps.methods.pullback import DENSE, KARRAS, Pullback
from sevenfold.diffreps.nodes import ScheduleNode, SolverNode
from sevenfold.diffreps.representations.voxel_nerf import VoxelNerf
from sevenfold.diffreps.sampling_task import Task
from sevenfold.ranges import Count, NonNegative, Resolution


class Growing(Pullback):
    """The pullback of a voxel field that is smoothed to a coarser grid after every step at high noise.

    Args:
        stages: resolutions, rising; after the last one the grid is free.
        until: the noise level at which each stage ends, falling; as many as stages.
        schedule, solver, guidance, order, resampling: as for ``pullback``.
        views_per_step, start_solves, final_solves: as for ``pullback``.
    """

    def __init__(
        self,
        *,
        stages: list[Resolution] = [3, 4],  # noqa: B006 (never changed)
        until: list[NonNegative] = [2.0, 0.5],  # noqa: B006
        schedule: ScheduleNode = KARRAS,
        solver: SolverNode = DENSE,
        guidance: Guidance = Guidance(),
        order: Literal["euler", "heun"] = "euler",
        resampling: Rounds = Rounds(),
        views_per_step: Count | None = None,
        start_solves: Count = 3,
        final_solves: Count = 1,
    ) -> None:
        super().__init__(
            schedule=schedule, solver=solver, guidance=guidance, order=order, resampling=resampling,
            views_per_step=views_per_step, start_solves=start_solves, final_solves=final_solves,
        )  # fmt: skip
        if len(stages) != len(until) or sorted(stages) != stages or sorted(until)[::-1] != until:
            raise ConfigError("stages", f"must rise, and until fall, equally many, got {stages}, {until}")
        self.stages, self.until = stages, until

    def check(self, task: Task) -> None:
        """Raise ``ConfigError`` for other representations."""
        super().check(task)
        if not isinstance(task.representation, VoxelNerf):
            raise ConfigError("name", "growing needs the representation voxel_nerf")

    def advance(self, task: Task, state: State) -> None:
        """Take a step, then smooth the grid in a coarse stage."""
        sigma = self.plan(task.prior)[state.step].next
        super().advance(task, state)
        # The first stage whose noise level has not been reached determines the resolution.
        for resolution, end in zip(self.stages, self.until, strict=True):
            if sigma > end:
                assert isinstance(task.representation, VoxelNerf)
                state.theta = coarsened(task.representation, state.theta, resolution)
                return


def coarsened(volume: VoxelNerf, theta: Tensor, resolution: int) -> Tensor:
    """Return parameters (B, p) of grids resized to ``resolution`` nodes per side and back, trilinearly."""
    # P = U_n D_r: the projection to fields that a grid of r^3 nodes represents, up to interpolation error
    size, rest = (volume.resolution,) * 3, volume.resolution**3 * (1 + volume.shape[0])
    density, colour = theta[:, : size[0] ** 3], theta[:, size[0] ** 3 : rest]
    grids = torch.cat([density.unflatten(1, (1, *size)), colour.unflatten(1, (*size, -1)).movedim(-1, 1)], 1)
    for target in (resolution, volume.resolution):
        grids = torch.nn.functional.interpolate(
            grids, size=(target,) * 3, mode="trilinear", align_corners=True
        )
    return torch.cat([grids[:, 0].flatten(1), grids[:, 1:].movedim(1, -1).flatten(1), theta[:, rest:]], 1)
