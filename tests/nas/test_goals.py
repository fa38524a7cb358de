"""Objectives by name and constraints: the order of Deb, searches under constraints, fronts of problems."""

import itertools
import json
import math

import numpy as np
import pytest

from sevenfold.errors import InputError
from sevenfold.nas import NB201, open_problem, start_trials
from sevenfold.nas.constraints import feasible_first
from sevenfold.nas.goals import read_goals
from sevenfold.nas.pareto import front, ranks

SPACE = {"name": "typed", "parameters": {"x": {"float": [0, 1]}, "y": {"float": [0, 1]}}}
LOCAL = {"name": "local_search", "continue_at_min": True}


def precedes(one, other):
    """Tell by the definition whether (losses, violation) one dominates the other under constraints."""
    (a, v), (b, w) = one, other
    if v == 0 and w > 0:
        return True
    if v > 0 or w > 0:
        return v < w and v > 0
    return all(p <= q for p, q in zip(a, b, strict=True)) and a != b


@pytest.mark.parametrize("m", [1, 2])
def test_losses_under_constraints_dominate_as_the_definition_says(m):
    rng = np.random.default_rng(m)
    for _ in range(30):
        table = rng.integers(0, 4, (12, m + 1)).astype(float)
        table[:, -1] *= rng.integers(0, 2, 12)
        losses = feasible_first(table)
        for i, j in itertools.permutations(range(12), 2):
            said = precedes(*((tuple(table[k, :-1]), table[k, -1]) for k in (i, j)))
            if said:
                assert (losses[i] < losses[j]).all() or table[i, -1] == table[j, -1] == 0
            if table[i, -1] == table[j, -1] == 0:
                assert (losses[[i, j]] == table[[i, j], :-1]).all()
            elif table[i, -1] == table[j, -1]:  # of equal violations, by loss or rank
                same = np.flatnonzero(table[:, -1] > 0)
                rank = dict(zip(same, table[same, 0] if m == 1 else ranks(table[same, :-1]), strict=True))
                assert (losses[i, 0] < losses[j, 0]) == (rank[i] < rank[j])


def test_failures_stay_infinite_and_violations_below_zero_are_refused():
    losses = feasible_first([[1.0, 0.0], [math.inf, math.inf], [0.0, 0.5]])
    assert losses[0] == 1 and np.isinf(losses[1]) and losses[2] == 2
    with pytest.raises(InputError, match="violations from 0 on"):
        feasible_first([[1.0, -1.0]])


def test_what_constraints_and_names_mean():
    goals = read_goals(["a"], "b", {"c": ">= -2", "a": "<=3"})
    assert goals.losses == ("a", "b") and goals.names == ("a", "b", "c")
    assert goals.of({"a": 4.5, "b": 2.0, "c": -3.0}) == ([4.5, -2.0], 0.5 + 0.5)
    assert goals.of({"a": 3.0, "b": 2.0, "c": -2.0})[1] == 0
    assert read_goals().names == ("loss",) and read_goals(maximize="acc").losses == ("acc",)
    for wrong, given in {
        "constraints.c": (None, (), {"c": "< 3"}),
        "got 3": (None, (), {"c": 3}),
        "named twice": (["a", "b"], ["a"], {}),
        "expected names": ([1], (), {}),
    }.items():
        with pytest.raises(InputError, match=wrong):
            read_goals(*given)


def hills(config, trial):
    return {
        "error": (config["x"] - 0.7) ** 2 + (config["y"] - 0.2) ** 2,
        "speed": config["x"],
        "size": config["x"] + config["y"],
    }


NODES = [LOCAL, {"name": "evolution"}, {"name": "bananas", "preset": "mixed"}]


@pytest.mark.parametrize("node", NODES, ids=lambda node: node["name"])
def test_a_search_under_a_constraint_ends_at_its_edge(tmp_path, node):
    options = {"space": SPACE, "algorithm": node, "minimize": "error", "constraints": {"size": "<= 0.5"}}
    for folder, budgets in (("whole", [40]), ("pieces", [7, 31, 40])):
        for budget in budgets:
            with open_problem(tmp_path / folder, **options, budget=budget) as problem:
                problem.run(hills)
                config, error = problem.best()
    assert config["x"] + config["y"] <= 0.5
    lines = [(tmp_path / name / "trials.jsonl").read_text() for name in ("whole", "pieces")]
    told = [[json.loads(x)["measured"] for x in part.splitlines() if '"told"' in x] for part in lines]
    assert told[0] == told[1] and len(told[0]) == 40
    table = np.array(told[0])
    assert error == table[table[:, 1] == 0, 0].min()
    beyond = table[:, 1] > 0  # of random configurations 7 of 8
    assert beyond[:10].any() and beyond[20:].mean() < 0.8


@pytest.mark.parametrize("node", NODES, ids=lambda node: node["name"])
def test_several_objectives_have_a_front_within_the_constraint(tmp_path, node):
    options = {"minimize": "error", "maximize": ["speed"], "constraints": {"size": "<= 0.9"}}
    with open_problem(tmp_path, space=SPACE, algorithm=node, budget=50, **options) as problem:
        problem.run(hills)
        edge = problem.front()
        with pytest.raises(InputError, match="have a front and no best"):
            problem.best()
    values = [hills(config, None) for config, _ in edge]
    assert all(value["size"] <= 0.9 for value in values)
    assert [losses for _, losses in edge] == [{k: v[k] for k in ("error", "speed")} for v in values]
    told = [hills(config, None) for config in configs(problem)]
    inside = np.array([[value["error"], -value["speed"]] for value in told if value["size"] <= 0.9])
    table = np.array([[losses["error"], -losses["speed"]] for _, losses in edge])
    assert sorted(table.tolist()) == sorted(inside[front(inside)].tolist())
    assert len(inside) > 0.55 * len(told)  # of random configurations 40 %
    with open_problem(tmp_path) as problem:  # from the journal alone
        assert problem.front() == edge


def test_where_everything_violates_the_least_violation_wins(tmp_path):
    options = {"minimize": "error", "constraints": {"size": "<= -1"}}
    with open_problem(tmp_path, space=SPACE, algorithm=LOCAL, budget=60, **options) as problem:
        problem.run(hills)
        config, _ = problem.best()
        assert config["x"] + config["y"] == min(hills(t, None)["size"] for t in configs(problem)) < 0.2
        assert len(problem.front()) >= 1


def configs(problem):
    return [problem.space.values(row) for row in problem.rows.values()]


def test_named_values_that_are_missing_or_not_finite_are_failures(tmp_path):
    options = {"minimize": ["error", "size"], "retries": 0}
    with open_problem(tmp_path, space=SPACE, algorithm=LOCAL, budget=5, **options) as problem:
        trial = problem.ask()
        with pytest.raises(InputError, match="'size' is missing"):
            problem.tell(trial, {"error": 1.0})
        with pytest.raises(InputError, match="expected a mapping with error, size"):
            problem.tell(trial, 1.0)
        problem.tell(trial, {"error": 1.0, "size": math.nan})
        whys = [event["why"] for event in problem.journal.events if event["event"] == "failed"]
        assert whys == ["the objective returned nan for 'size'"] and problem.front() == []
    with pytest.raises(InputError, match="'seeds' are of the best"):
        open_problem(
            tmp_path / "a", space=SPACE, algorithm=LOCAL, minimize=["a", "b"], seeds={"max": 2, "last": 0.1}
        )


@pytest.mark.parametrize("name", ["evolution", "local_search", "bananas"])
def test_one_loss_as_a_list_is_the_search_of_the_number(name):
    space, rng = NB201(), np.random.default_rng(5)
    table = rng.random(15625)
    one, other = (start_trials({"name": name}, space, [np.random.default_rng(0)])[0] for _ in range(2))
    for _ in range(4 if name == "bananas" else 40):
        asked, again = one.ask(10), other.ask(10)
        assert (asked == again).all()
        losses = table[space.index(asked)]
        one.tell(asked, losses), other.tell(again, losses[:, None])
