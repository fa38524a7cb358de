"""Search algorithms: told losses, asked what to evaluate next.

Nothing heavy is imported here; build one by name with ``sevenfold.config.build(ALGORITHMS, {"name":
"evolution"}, "algorithm", space=space, rng=rng)`` and run many trials of it with :mod:`run`.
"""

ALGORITHMS: dict[str, str] = {
    "bananas": "sevenfold.nas.algorithms.bananas:Bananas",
    "evolution": "sevenfold.nas.algorithms.evolution:RegularizedEvolution",
    "local_search": "sevenfold.nas.algorithms.local_search:LocalSearch",
    "random": "sevenfold.nas.algorithms.random:RandomSearch",
}

SURROGATES: dict[str, str] = {
    "random": "sevenfold.nas.algorithms.surrogate:RandomPick",
}
