"""Annotations of the options that take a component of this family."""

from typing import Annotated

from sevenfold.config import Node
from sevenfold.tables import OneOf, OptionsOf

PriorNode = Annotated[Node, OneOf("sevenfold.diffreps:PRIORS")]
"""A diffusion prior and its options."""
WorldPriorNode = Annotated[Node, OneOf("sevenfold.diffreps.worlds:WORLD_PRIORS")]
"""A prior of views of a world and its options."""
RepresentationNode = Annotated[Node, OneOf("sevenfold.diffreps:REPRESENTATIONS")]
"""A differentiable representation and its options."""
SolverNode = Annotated[Node, OneOf("sevenfold.diffreps:SOLVERS")]
"""A solver of the pullback's least squares and its options."""
ViewNoiseNode = Annotated[Node, OneOf("sevenfold.diffreps:VIEW_NOISES")]
"""A noise of views and its options."""
MethodNode = Annotated[Node, OneOf("sevenfold.diffreps:METHODS")]
"""A sampler of representations and its options."""
ScheduleNode = Annotated[Node, OneOf("sevenfold.diffreps:SCHEDULES")]
"""A schedule of noise levels and its options."""
ImagesNode = Annotated[Node, OneOf("sevenfold.diffreps:SOURCES")]
"""A set of images and its options."""
ProcessNode = Annotated[Node, OneOf("sevenfold.diffreps:PROCESSES")]
"""A noising process of a network's training and its options."""
NetworkNode = Annotated[Node, OneOf("sevenfold.diffreps:NETWORKS")]
"""A denoising network and its options."""
ArmNode = Annotated[Node, OptionsOf("sevenfold.diffreps.studies.volumes:arm")]
"""The options of one arm of a study of volumes."""
