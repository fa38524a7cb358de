"""NLP recipes: validity and keys against naive references, generator, mutation, notations, real logs."""

import gzip
import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from sevenfold.config import ConfigError, build
from sevenfold.errors import InputError
from sevenfold.nas.encodings.adjacency import adj, adj_onehot
from sevenfold.nas.encodings.path import path
from sevenfold.nas.spaces import SPACES
from sevenfold.nas.spaces.nlp import NLP
from sevenfold.nas.spaces.nlp_graph import OPS

LOGS = Path(__file__).resolve().parents[3] / "../shared/data/nas/nasbench_nlp_wikitext2_curves.json.gz"
SPACE = NLP()
ARITY = {"linear": (2, 3), "blend": (3,), "elementwise_sum": (2,), "elementwise_prod": (2,)}
SIMPLE = {
    "node_0": {"op": "linear", "input": ["x", "h_prev_0"]},
    "h_new_0": {"op": "activation_tanh", "input": ["node_0"]},
}


def naive_valid(recipe):
    """Judge a recipe by its names alone."""
    states = [name for name in recipe if name.startswith("h_new")]
    used, todo = set(states), list(states)
    while todo:
        for name in recipe[todo.pop()]["input"]:
            if name not in used:
                used.add(name)
                if name in recipe:
                    todo.append(name)
    fits = all(
        len(node["input"]) in ARITY.get(node["op"], (1,)) and len(set(node["input"])) == len(node["input"])
        for node in recipe.values()
    )
    previous = {name for name in used if name.startswith("h_prev")}
    wanted = {f"h_prev_{i}" for i in range(len(states))}
    return bool(states) and set(recipe) <= used and fits and "x" in used and previous == wanted


def renamed(recipe, rng):
    """Shuffle the nodes of a recipe, their names, and the inputs of all but blend."""
    inner = [name for name in recipe if not name.startswith("h_new")]
    names = dict(zip(inner, rng.permutation([f"other_{i}" for i in range(len(inner))]).tolist(), strict=True))
    nodes = []
    for name, node in recipe.items():
        inputs = [names.get(i, i) for i in node["input"]]
        if node["op"] != "blend":
            inputs = rng.permutation(inputs).tolist()
        nodes.append((names.get(name, name), {"op": node["op"], "input": inputs}))
    return {nodes[i][0]: nodes[i][1] for i in rng.permutation(len(nodes))}


def test_samples_are_what_the_generator_promises():
    archs = SPACE.sample(np.random.default_rng(0), 400)
    assert archs.shape == (400, 39) and SPACE.is_valid(archs).all()
    assert (archs == SPACE.sample(np.random.default_rng(0), 400)).all()
    assert len(np.unique(SPACE.keys(archs))) > 350
    for text in SPACE.to_strings(archs):
        recipe = json.loads(text)
        assert naive_valid(recipe) and {"h_new_0", "h_new_1"} <= set(recipe) and "h_new_2" not in recipe
        assert not any(
            name.startswith("h_new") and any(i.startswith("h_prev") for i in node["input"])
            for name, node in recipe.items()
        )
        for node in recipe.values():
            if node["op"].startswith("activation"):
                source = node["input"][0]
                assert source not in recipe or recipe[source]["op"] == "linear"


def test_validity_equals_the_naive_judgement_on_broken_recipes():
    rng = np.random.default_rng(1)
    archs = SPACE.sample(rng, 1500)
    column = rng.integers(SPACE.width, size=1500)
    archs[np.arange(1500), column] = rng.integers(0, 9, size=1500)
    verdict = SPACE.is_valid(archs)
    assert 100 < verdict.sum() < 1200
    for row, valid in zip(archs.tolist(), verdict, strict=True):
        slots, hidden = [row[i : i + 4] for i in range(0, 36, 4)], row[36:]
        count = sum(slot[0] > 0 for slot in slots)
        whole = all(slot[0] in range(1, 8) for slot in slots[:count]) and not any(
            any(slot) for slot in slots[count:]
        )
        inputs = [[s for s in slot[1:] if s] for slot in slots]
        whole &= all(slot[1:] == (i + [0, 0, 0])[:3] for slot, i in zip(slots, inputs, strict=True))
        whole &= all(s <= k + 4 for k, i in enumerate(inputs) for s in i)
        states = [h for h in hidden if h]
        whole &= hidden == (states + [0, 0, 0])[:3] and len(set(states)) == len(states) > 0
        whole &= all(4 <= h < 4 + count for h in states)
        if whole:
            names = ["x", "h_prev_0", "h_prev_1", "h_prev_2", *(f"n{k}" for k in range(count))]
            for k, h in enumerate(states):
                names[h] = f"h_new_{k}"
            whole = naive_valid(
                {
                    names[4 + k]: {"op": OPS[slots[k][0]], "input": [names[s - 1] for s in inputs[k]]}
                    for k in range(count)
                }
            )
        assert valid == whole


def test_keys_ignore_names_and_order_and_tell_everything_else():
    rng = np.random.default_rng(2)
    archs = SPACE.sample(rng, 300)
    texts = SPACE.to_strings(archs)
    others = SPACE.from_strings([json.dumps(renamed(json.loads(text), rng)) for text in texts])
    assert (others != archs).any(1).sum() > 150 and (SPACE.keys(others) == SPACE.keys(archs)).all()
    for row in archs[:40]:
        near = np.concatenate([row[None], SPACE.neighbors(row)])
        names = [naive_name(json.loads(text)) for text in SPACE.to_strings(near)]
        keys = SPACE.keys(near).tolist()
        for (i, a), (j, b) in itertools.combinations(enumerate(names), 2):
            assert (keys[i] == keys[j]) == (a == b)


def naive_name(recipe):
    """Return the smallest description over all names of nodes with equal ancestry; exact for small cells."""
    tree = {}

    def expression(name):
        if name not in recipe:
            return name
        if name not in tree:
            inputs = [expression(i) for i in recipe[name]["input"]]
            inputs = inputs if recipe[name]["op"] == "blend" else sorted(inputs)
            state = name if name.startswith("h_new") else ""
            tree[name] = f"{state}:{recipe[name]['op']}({','.join(inputs)})"
        return tree[name]

    groups = {}
    for name in recipe:
        groups.setdefault(expression(name), []).append(name)
    ordered = sorted(groups)
    found = []
    for choice in itertools.product(*(itertools.permutations(groups[key]) for key in ordered)):
        flat = list(itertools.chain(*choice))
        number = {name: f"{i:02}" for i, name in enumerate(flat)}
        nodes = []
        for name in flat:
            inputs = [number.get(i, i) for i in recipe[name]["input"]]
            state = name if name.startswith("h_new") else ""
            nodes.append(
                (
                    state,
                    recipe[name]["op"],
                    tuple(inputs if recipe[name]["op"] == "blend" else sorted(inputs)),
                )
            )
        found.append(tuple(nodes))
    return min(found)


def test_blend_tells_its_inputs_apart_and_sums_do_not():
    recipe = {
        "a": {"op": "linear", "input": ["x", "h_prev_0"]},
        "b": {"op": "activation_tanh", "input": ["a"]},
        "c": {"op": "activation_sigm", "input": ["a"]},
        "h_new_0": {"op": "blend", "input": ["a", "b", "c"]},
    }
    turned = {**recipe, "h_new_0": {"op": "blend", "input": ["b", "a", "c"]}}
    summed = {**recipe, "h_new_0": {"op": "elementwise_sum", "input": ["b", "c"]}}
    mussed = {**recipe, "h_new_0": {"op": "elementwise_sum", "input": ["c", "b"]}}
    keys = SPACE.keys(SPACE.from_strings([json.dumps(r) for r in (recipe, turned, summed, mussed)]))
    assert keys[0] != keys[1] and keys[2] == keys[3]


def test_neighbors_are_valid_different_and_one_code_away():
    for row in SPACE.sample(np.random.default_rng(3), 30):
        others = SPACE.neighbors(row)
        assert len(others) > 5 and SPACE.is_valid(others).all()
        assert ((others != row).sum(1) == 1).all()
        keys = SPACE.keys(np.concatenate([row[None], others]))
        assert len(np.unique(keys)) == len(others) + 1
        back = [SPACE.keys(row[None])[0] in SPACE.keys(SPACE.neighbors(other)) for other in others[::5]]
        assert all(back)


def test_mutation_is_one_edit_a_time_and_reaches_every_neighbor():
    row = SPACE.sample(np.random.default_rng(4), 1)
    children = SPACE.mutate(np.repeat(row, 5000, 0), np.random.default_rng(5))
    assert SPACE.is_valid(children).all() and ((children != row).sum(1) <= 1).all()
    around = set(SPACE.keys(SPACE.neighbors(row[0])).tolist())
    assert set(SPACE.keys(children).tolist()) - set(SPACE.keys(row).tolist()) == around
    more = SPACE.mutate(np.repeat(row, 500, 0), np.random.default_rng(5), rate=3)
    assert SPACE.is_valid(more).all() and (more != row).sum(1).max() > 1
    assert (SPACE.mutate(row, np.random.default_rng(0), rate=0) == row).all()


@pytest.mark.parametrize(
    ("nodes", "plain", "vectors"), [(8, 93, 162), (12, 185, 286), (25, 26**2 + 26 + 3, 910)]
)
def test_dimensions_of_both_sizes(nodes, plain, vectors):
    space = NLP(max_nodes=nodes)
    archs = space.sample(np.random.default_rng(6), 20)
    assert adj(space, archs).shape == (20, plain) and adj_onehot(space, archs).shape == (20, vectors)


def test_worked_recipe_in_the_adjacency_encoding():
    arch = SPACE.from_strings([json.dumps(SIMPLE)])
    row = adj(SPACE, arch)[0]
    # the linear is vertex 4; the activation, the last one, is moved to place 12, its state is vertex 5
    assert [tuple(divmod(int(k), 13)) for k in np.flatnonzero(row[:169])] == [(0, 4), (1, 4), (4, 12)]
    assert row[169:182].tolist() == [0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 2] and row[182:].tolist() == [
        5,
        0,
        0,
    ]
    assert SPACE.to_strings(arch, notation="naslib") == [
        "(((0, 4), (1, 4), (4, 5)), (0, 0, 0, 0, 6, 2), (5,))"
    ]


def test_notations_round_trip():
    archs = SPACE.sample(np.random.default_rng(7), 100)
    compact = SPACE.to_strings(archs, notation="naslib")
    assert (SPACE.from_strings(compact, notation="naslib") == archs).all()
    again = SPACE.from_strings(SPACE.to_strings(archs))
    assert (SPACE.keys(again) == SPACE.keys(archs)).all()


@pytest.mark.skipif(not LOGS.is_file(), reason="the shared benchmark tables are absent")
def test_real_recipes_are_read():
    space = NLP(max_nodes=25)
    with gzip.open(LOGS, "rt") as file:
        recipes = [log["recepie"] for log in json.load(file)]
    archs = space.from_strings([json.dumps(recipe) for recipe in recipes])
    assert len(archs) == 250 and all(naive_valid(recipe) for recipe in _plain_names(recipes))
    for recipe, text in zip(recipes, space.to_strings(archs), strict=True):
        again = json.loads(text)
        for key in ("op", "input"):
            count = lambda node, key=key: node["op"] if key == "op" else len(node["input"])  # noqa: E731
            assert sorted(map(count, recipe.values())) == sorted(map(count, again.values()))
    assert (space.keys(space.from_strings(space.to_strings(archs))) == space.keys(archs)).all()
    # some of the logs train the same cell again
    names = [naive_name(recipe) for recipe in _plain_names(recipes)]
    pairs = set(zip(names, space.keys(archs).tolist(), strict=True))
    assert len(pairs) == len(set(names)) == len({key for _, key in pairs}) < 250


def _plain_names(recipes):
    """Rename helper nodes such as h_new_1_part1, which are no hidden states."""
    for recipe in recipes:
        text = json.dumps(recipe)
        for name in recipe:
            if name.startswith("h_new") and not name[6:].isdigit():
                text = text.replace(f'"{name}"', f'"inner_{name}"')
        yield json.loads(text)


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ("nothing", "no recipe"),
        ("[1, 2]", "no recipe"),
        ('{"h_new_0": {"op": "linear"}}', "no recipe"),
        ('{"h_new_0": {"op": "relu", "input": ["x"]}}', "operation 'relu'"),
        ('{"h_new_0": {"op": "linear", "input": ["x", "a"]}}', "unknown or form a circle"),
        ('{"h_new_0": {"op": "linear", "input": ["x", "x"]}}', "no valid recipe"),
        ('{"a": {"op": "linear", "input": ["x", "h_prev_0"]}}', "no valid recipe"),
        (json.dumps({f"n{i}": {"op": "activation_tanh", "input": ["x"]} for i in range(10)}), "at most 9"),
    ],
)
def test_wrong_recipes_are_named(recipe, message):
    with pytest.raises(InputError, match=message):
        SPACE.from_strings([recipe])


def test_wrong_tuples_options_and_encodings_are_refused():
    with pytest.raises(InputError, match="expected \\(edges"):
        SPACE.from_strings(["(1, 2)"], notation="naslib")
    with pytest.raises(InputError, match="do not exist"):
        SPACE.from_strings(["(((0, 4), (500, 4)), (0, 0, 0, 0, 6), (4,))"], notation="naslib")
    with pytest.raises(ConfigError, match="max_nodes"):
        build(SPACES, {"name": "nlp", "max_nodes": 3}, "space")
    with pytest.raises(InputError, match="not defined on NLP"):
        path(SPACE, SPACE.sample(np.random.default_rng(0), 2))
