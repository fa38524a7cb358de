"""Solvers, linear methods and backward rules from their options, for every constructor that takes them."""

from typing import Any

import torch

from sevenfold.deq import BACKWARDS, LINEAR, SOLVERS
from sevenfold.deq.anderson import Anderson
from sevenfold.deq.base import Backward, Solver, Stop
from sevenfold.deq.linear.base import LinearMethod
from sevenfold.deq.nodes import AdjointNode, BackwardNode, SolverNode
from sevenfold.errors import InputError
from sevenfold.tables import ComponentTable, Node

ANDERSON = Anderson()
"""The solver where none is named; a solver holds options alone."""


def make_solver(node: Solver | SolverNode | None) -> Solver:
    """Build the solver ``{"name": ..., options}``; a built one passes through and None means Anderson."""
    if node is None or isinstance(node, Solver):
        return node or ANDERSON
    return _built(SOLVERS, node, "solver")


def make_backward(node: Backward | BackwardNode | None) -> Backward:
    """Build the rule ``{"name": ..., options}``; a built one passes through, None means one phantom step."""
    return node if isinstance(node, Backward) else _built(BACKWARDS, node or {"name": "phantom"}, "backward")


def make_adjoint(node: LinearMethod | Solver | AdjointNode | None) -> LinearMethod | Solver:
    """Build the method for an adjoint system; a built one passes through and None means GMRES."""
    if isinstance(node, LinearMethod | Solver):
        return node
    return _built(LINEAR | SOLVERS, node or {"name": "gmres"}, "adjoint")


def make_stop(node: Stop | Node | None) -> Stop:
    """Build the stop rule from its options; a built one passes through and None means the default."""
    if node is None or isinstance(node, Stop):
        return node or Stop()
    from sevenfold.config import validate

    return Stop(**validate(Stop, node, "stop"))


def _built(table: ComponentTable, node: Node, key: str) -> Any:
    """Build a component; whoever makes its own needs no reader of configurations."""
    if torch.compiler.is_compiling():
        raise InputError(f"{key}: inside a compiled function pass a component, not its name and options")
    from sevenfold.config import build

    return build(table, node, key)
