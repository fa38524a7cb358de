"""Each algorithm against a loop that does the same as plainly as possible."""

import numpy as np
import pytest

from sevenfold.nas.algorithms.run import Trace, run_trials, start_trials
from sevenfold.nas.spaces.nb201 import NB201

SPACE = NB201()
LOSS = np.random.default_rng(7).random(15625) + SPACE.archs(np.arange(15625)).sum(axis=1) / 24


def evaluate(archs):
    return LOSS[SPACE.index(archs)]


def orders(node, *, budget, trials, k=1):
    rngs = [np.random.default_rng(seed) for seed in range(trials)]
    traces = run_trials(start_trials(node, SPACE, rngs), evaluate, budget=budget, k=k)
    return [SPACE.index(trace.archs).tolist() for trace in traces]


def climb(order, *, num_init, full, onward, cached):
    """Replay a local search: check that each queried number is one the rules allow at that point."""
    order, known, expanded = list(order), [], set()
    while order:
        begun, order = order[:num_init], order[num_init:]
        assert not set(begun) & set(known)
        known += begun
        center = min(begun, key=LOSS.__getitem__)
        while order:
            expanded.add(center)
            near = set(SPACE.index(SPACE.neighbors(SPACE.archs([center])[0])).tolist())
            new, old = near - set(known), [n for n in near if n in known] if cached else []
            compared = old
            while new and order and (full or min([LOSS[n] for n in compared], default=9) >= LOSS[center]):
                assert order[0] in new
                new.discard(order[0])
                compared = [*compared, order[0]]
                known.append(order.pop(0))
            better = [n for n in compared if LOSS[n] < LOSS[center]]
            if onward:
                center = min((n for n in known if n not in expanded), key=LOSS.__getitem__)
            elif better:
                center = min(better, key=LOSS.__getitem__)
            else:
                break


@pytest.mark.parametrize(("onward", "cached"), [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize("full", [False, True])
def test_local_search_asks_what_its_rules_say(full, onward, cached):
    options = {"query_full_nbhd": full, "continue_at_min": onward, "use_cached_neighbors": cached}
    for order in orders({"name": "local_search", "num_init": 5, **options}, budget=400, trials=3):
        climb(order, num_init=5, full=full, onward=onward, cached=cached)


def test_the_passes_of_local_search_are_shuffled():
    node = {"name": "local_search", "num_init": 1, "query_full_nbhd": True}
    places = []
    for first, second in orders(node, budget=2, trials=200):
        near = SPACE.index(SPACE.neighbors(SPACE.archs([first])[0])).tolist()
        places.append(near.index(second))
    assert len(set(places)) == 24


def test_evolution_breeds_the_best_of_a_tournament_among_the_youngest():
    """With the whole population in (almost) every tournament the parent is the best of the youngest."""
    node = {"name": "evolution", "population": 5, "tournament": 200, "mutation": "one", "num_init": 8}
    [order] = orders(node, budget=120, trials=1)
    archs = SPACE.archs(order)
    for place in range(8, 120):
        best = min(order[max(0, place - 5) : place], key=LOSS.__getitem__)
        assert (archs[place] != SPACE.archs([best])[0]).sum() == 1
    assert len(set(order)) == 120
    [free] = orders({**node, "allow_repeats": True}, budget=300, trials=1)
    assert len(set(free)) < 300


def test_a_tournament_draws_with_replacement():
    """With 2 of 2 drawn, the worse one is the parent in a quarter of the cases."""
    node = {"name": "evolution", "population": 2, "tournament": 2, "mutation": "one", "num_init": 2}
    worse = 0
    for order in orders(node, budget=3, trials=400):
        archs = SPACE.archs(order)
        worst = int(np.argmax(LOSS[order[:2]]))
        apart = (archs[2] != archs[:2]).sum(axis=1)
        assert 1 in apart
        worse += apart[worst] == 1 and apart[1 - worst] != 1
    assert abs(worse / 400 - 0.25) < 4 * np.sqrt(0.25 * 0.75 / 400)


def test_bananas_chooses_mutants_of_the_best():
    node = {"name": "bananas", "candidates": {"num": 20, "parents": 2}, "mutation": "one"}
    node |= {"preset": "no_surrogate"}
    [order] = orders(node, budget=40, trials=1, k=10)
    archs = SPACE.archs(order)
    for begin in (10, 20, 30):
        parents = SPACE.archs(sorted(order[:begin], key=LOSS.__getitem__)[:2])
        apart = (archs[begin : begin + 10, None] != parents).sum(axis=2)
        assert (apart.min(axis=1) == 1).all()


def test_incumbents_are_the_first_of_the_lowest():
    trace = Trace(np.zeros((6, 1), int), np.array([np.nan, 3.0, 2.0, 2.0, np.nan, 1.0]), 0.0)
    assert trace.incumbents().tolist() == [0, 1, 2, 2, 2, 5]
