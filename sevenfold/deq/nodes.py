"""Annotations of the options that take a solver or a backward rule."""

from typing import Annotated

from sevenfold.tables import Node, OneOf

SolverNode = Annotated[Node, OneOf("sevenfold.deq:SOLVERS")]
"""A solver and its options: ``{"name": "anderson", "memory": 6}``."""
SolverName = Annotated[str, OneOf("sevenfold.deq:SOLVERS")]
"""The name of a solver, which has its defaults."""
BackwardNode = Annotated[Node, OneOf("sevenfold.deq:BACKWARDS")]
"""A rule for the gradient of an equilibrium and its options: ``{"name": "phantom", "steps": 5}``."""
AdjointNode = Annotated[Node, OneOf("sevenfold.deq:LINEAR", "sevenfold.deq:SOLVERS")]
"""A method for the linear system of a gradient and its options: ``{"name": "gmres", "restart": 20}``."""
