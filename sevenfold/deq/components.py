"""Solvers, linear methods and backward rules from their options, for every constructor that takes them."""

from typing import Any

from sevenfold.deq import BACKWARDS, LINEAR, SOLVERS
from sevenfold.deq.base import Backward, Solver, Stop
from sevenfold.deq.linear.base import LinearMethod
from sevenfold.deq.nodes import AdjointNode, BackwardNode, SolverNode
from sevenfold.tables import ComponentTable, Node


def make_solver(node: Solver | SolverNode | None) -> Solver:
    """Build the solver ``{"name": ..., options}``; a built one passes through and None means Anderson."""
    return node if isinstance(node, Solver) else _built(SOLVERS, node or {"name": "anderson"}, "solver")


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
    from sevenfold.config import build

    return build(table, node, key)
