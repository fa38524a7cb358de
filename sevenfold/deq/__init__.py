"""Fixed points of f(z) = z: solvers, gradients through them and what is measured about them.

Nothing heavy is imported here; take what you need from its own file, for instance
``from sevenfold.deq.solve import solve`` and ``from sevenfold.deq.anderson import Anderson``.
"""

SOLVERS: dict[str, str] = {
    "fixed_point": "sevenfold.deq.fixed_point:FixedPoint",
    "anderson": "sevenfold.deq.anderson:Anderson",
    "broyden": "sevenfold.deq.broyden:Broyden",
}

BACKWARDS: dict[str, str] = {
    "implicit": "sevenfold.deq.implicit:Implicit",
    "phantom": "sevenfold.deq.phantom:Phantom",
}
