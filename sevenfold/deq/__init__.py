"""Fixed points of f(z) = z: solvers, gradients through them and what is measured about them.

Nothing heavy is imported here; take what you need from its own file, for instance
``from sevenfold.deq.solve import solve`` and ``from sevenfold.deq.anderson import Anderson``.
"""

from sevenfold.tables import ComponentTable

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
