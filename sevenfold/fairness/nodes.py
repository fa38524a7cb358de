"""Annotations of the options that take a component of this family."""

from typing import Annotated

from sevenfold.config import Node
from sevenfold.tables import OneOf

MethodNode = Annotated[Node, OneOf("sevenfold.fairness:METHODS", "sevenfold.fairness:POSTPROCESSORS")]
"""A debiasing method and its options, whether it changes weights or decisions."""
SourceNode = Annotated[Node, OneOf("sevenfold.fairness.data:SOURCES")]
"""A table of people and its options."""
OptimizerNode = Annotated[Node, OneOf("sevenfold.fairness.intra.layerwise:OPTIMIZERS")]
"""A derivative-free optimizer and its options."""
