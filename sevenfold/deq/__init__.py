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
    from sevenfold.deq.fixed_point import FixedPoint
    from sevenfold.deq.implicit import Implicit
    from sevenfold.deq.jacobian import jacobian_penalty, spectral_radius
    from sevenfold.deq.layer import DEQ
    from sevenfold.deq.phantom import Phantom
    from sevenfold.deq.reuse import Reuse

SOLVERS = ComponentTable(
    {
        "fixed_point": "sevenfold.deq.fixed_point:FixedPoint",
        "anderson": "sevenfold.deq.anderson:Anderson",
        "broyden": "sevenfold.deq.broyden:Broyden",
    },
    holds="fixed-point solvers",
)

BACKWARDS = ComponentTable(
    {
        "implicit": "sevenfold.deq.implicit:Implicit",
        "phantom": "sevenfold.deq.phantom:Phantom",
    },
    holds="rules for the gradient of an equilibrium",
)

_PUBLIC = {
    "DEQ": "sevenfold.deq.layer:DEQ",
    "Anderson": "sevenfold.deq.anderson:Anderson",
    "Broyden": "sevenfold.deq.broyden:Broyden",
    "Correction": "sevenfold.deq.correction:Correction",
    "FixedPoint": "sevenfold.deq.fixed_point:FixedPoint",
    "Implicit": "sevenfold.deq.implicit:Implicit",
    "Phantom": "sevenfold.deq.phantom:Phantom",
    "Reuse": "sevenfold.deq.reuse:Reuse",
    "Solution": "sevenfold.deq.base:Solution",
    "Solver": "sevenfold.deq.base:Solver",
    "Status": "sevenfold.deq.base:Status",
    "Stop": "sevenfold.deq.base:Stop",
    "jacobian_penalty": "sevenfold.deq.jacobian:jacobian_penalty",
    "solve": "sevenfold.deq.driver:solve",
    "spectral_radius": "sevenfold.deq.jacobian:spectral_radius",
}
__all__ = [
    "DEQ",
    "Anderson",
    "Broyden",
    "Correction",
    "FixedPoint",
    "Implicit",
    "Phantom",
    "Reuse",
    "Solution",
    "Solver",
    "Status",
    "Stop",
    "jacobian_penalty",
    "solve",
    "spectral_radius",
]
__getattr__, __dir__ = lazy(__name__, _PUBLIC)
