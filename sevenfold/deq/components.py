"""Solvers and backward rules from their options, for every constructor that takes them."""

from typing import Any

from sevenfold.deq import BACKWARDS, SOLVERS
from sevenfold.deq.base import Backward, Solver
from sevenfold.deq.nodes import BackwardNode, SolverNode
from sevenfold.tables import ComponentTable, Node


def make_solver(node: Solver | SolverNode | None) -> Solver:
    """Build the solver ``{"name": ..., options}``; a built one passes through and None means Anderson."""
    return node if isinstance(node, Solver) else _built(SOLVERS, node or {"name": "anderson"}, "solver")


def make_backward(node: Backward | BackwardNode | None) -> Backward:
    """Build the rule ``{"name": ..., options}``; a built one passes through, None means one phantom step."""
    return node if isinstance(node, Backward) else _built(BACKWARDS, node or {"name": "phantom"}, "backward")


def _built(table: ComponentTable, node: Node, key: str) -> Any:
    """Build a component; whoever makes its own needs no reader of configurations."""
    from sevenfold.config import build

    return build(table, node, key)
