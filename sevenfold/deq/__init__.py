"""Fixed points f(z) = z: solvers, gradients of equilibria, and measures of convergence.

Public names are imported when they are first used: ``from sevenfold.deq import DEQ, Anderson, solve``.
"""

from typing import TYPE_CHECKING

from sevenfold.lazy import lazy
from sevenfold.tables import ComponentTable

if TYPE_CHECKING:
    from sevenfold.deq.anderson import Anderson
    from sevenfold.deq.base import Solution, Solver, Status, Stop
    from sevenfold.deq.broyden import Broyden
    from sevenfold.deq.correction import Correction
    from sevenfold.deq.driver import solve
    from sevenfold.deq.errors import NotConverged, PreflightError
    from sevenfold.deq.examination import Examination, examine
    from sevenfold.deq.implicit import Implicit
    from sevenfold.deq.jacobian import jacobian_penalty, spectral_radius
    from sevenfold.deq.layer import DEQ
    from sevenfold.deq.layers.graph import GraphDEQ
    from sevenfold.deq.layers.monotone import MonotoneMLP
    from sevenfold.deq.layers.transformer import TransformerDEQ
    from sevenfold.deq.phantom import Phantom
    from sevenfold.deq.plain import FixedPoint
    from sevenfold.deq.problems import fixed_point, minimize, root
    from sevenfold.deq.reuse import Reuse
    from sevenfold.deq.reversible import Reversible
    from sevenfold.deq.unrolled import Unrolled

SOLVERS = ComponentTable(
    {
        "fixed_point": "sevenfold.deq.plain:FixedPoint",
        "anderson": "sevenfold.deq.anderson:Anderson",
        "broyden": "sevenfold.deq.broyden:Broyden",
    },
    holds="fixed-point solvers",
)

LINEAR = ComponentTable(
    {
        "gmres": "sevenfold.deq.linear.gmres:GMRES",
        "bicgstab": "sevenfold.deq.linear.bicgstab:BiCGStab",
        "cg": "sevenfold.deq.linear.cg:CG",
    },
    holds="methods for the linear system of an equilibrium's gradient",
)

BACKWARDS = ComponentTable(
    {
        "implicit": "sevenfold.deq.implicit:Implicit",
        "phantom": "sevenfold.deq.phantom:Phantom",
        "unrolled": "sevenfold.deq.unrolled:Unrolled",
        "reversible": "sevenfold.deq.reversible:Reversible",
    },
    holds="rules for the gradient of an equilibrium",
)

_PUBLIC = {
    "DEQ": "sevenfold.deq.layer:DEQ",
    "Anderson": "sevenfold.deq.anderson:Anderson",
    "Broyden": "sevenfold.deq.broyden:Broyden",
    "Correction": "sevenfold.deq.correction:Correction",
    "Examination": "sevenfold.deq.examination:Examination",
    "FixedPoint": "sevenfold.deq.plain:FixedPoint",
    "GraphDEQ": "sevenfold.deq.layers.graph:GraphDEQ",
    "Implicit": "sevenfold.deq.implicit:Implicit",
    "MonotoneMLP": "sevenfold.deq.layers.monotone:MonotoneMLP",
    "NotConverged": "sevenfold.deq.errors:NotConverged",
    "Phantom": "sevenfold.deq.phantom:Phantom",
    "PreflightError": "sevenfold.deq.errors:PreflightError",
    "Reuse": "sevenfold.deq.reuse:Reuse",
    "Reversible": "sevenfold.deq.reversible:Reversible",
    "Solution": "sevenfold.deq.base:Solution",
    "Solver": "sevenfold.deq.base:Solver",
    "Status": "sevenfold.deq.base:Status",
    "Stop": "sevenfold.deq.base:Stop",
    "TransformerDEQ": "sevenfold.deq.layers.transformer:TransformerDEQ",
    "Unrolled": "sevenfold.deq.unrolled:Unrolled",
    "examine": "sevenfold.deq.examination:examine",
    "fixed_point": "sevenfold.deq.problems:fixed_point",
    "jacobian_penalty": "sevenfold.deq.jacobian:jacobian_penalty",
    "minimize": "sevenfold.deq.problems:minimize",
    "root": "sevenfold.deq.problems:root",
    "solve": "sevenfold.deq.driver:solve",
    "spectral_radius": "sevenfold.deq.jacobian:spectral_radius",
}
__all__ = [
    "DEQ",
    "Anderson",
    "Broyden",
    "Correction",
    "Examination",
    "FixedPoint",
    "GraphDEQ",
    "Implicit",
    "MonotoneMLP",
    "NotConverged",
    "Phantom",
    "PreflightError",
    "Reuse",
    "Reversible",
    "Solution",
    "Solver",
    "Status",
    "Stop",
    "TransformerDEQ",
    "Unrolled",
    "examine",
    "fixed_point",
    "jacobian_penalty",
    "minimize",
    "root",
    "solve",
    "spectral_radius",
]
__getattr__, __dir__ = lazy(__name__, _PUBLIC)
