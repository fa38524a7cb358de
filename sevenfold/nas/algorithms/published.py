"""What the papers report of a search's end, and whether a run agrees."""

from typing import NamedTuple


class Published(NamedTuple):
    """A mean test error after ``budget`` queries, read off a figure of the authors' repositories."""

    space: str
    dataset: str
    algorithm: str
    budget: int
    error: float
    mark: str


# White, Neiswanger and Savani 2019 (NAS-Bench-101) and White, Nolen and Savani 2020 (version 1).
FIGURE = "fig"  # read off a figure, +- 0.02
NAMES = ("local_search", "bananas", "nasbot", "dngo", "evolution", "gp")
NB201 = {
    "cifar10": (5.63, 5.68, 5.68, 5.72, 5.78, 5.79),
    "cifar100": (26.50, 26.51, 26.52, 26.70, 26.67, 26.74),
    "ImageNet16-120": (53.60, 53.83, 53.77, 53.61, 53.71, 53.73),
}
NB101 = {
    150: {"bananas": 5.92, "evolution": 6.14, "gp": 6.29, "random": 6.38, "reinforce": 6.42},
    300: {
        "local_search": 5.86,
        "bananas": 5.89,
        "dngo": 5.97,
        "evolution": 5.98,
        "gp": 6.10,
        "nasbot": 6.10,
        "random": 6.22,
        "reinforce": 6.38,
    },
}
PUBLISHED = [
    *(
        Published("NB201", dataset, name, 300, error, FIGURE)
        for dataset, errors in NB201.items()
        for name, error in zip(NAMES, errors, strict=True)
    ),
    *(
        Published("NB101", "nb101", name, budget, error, FIGURE)
        for budget, errors in NB101.items()
        for name, error in errors.items()
    ),
]
TOLERANCE = {"nb101": 0.06, "cifar10": 0.06, "cifar100": 0.12, "ImageNet16-120": 0.2}

DIFFERS = "objective differs"
"""On CIFAR-10 the papers searched a less noisy validation (mean of three trainings) than a table of one."""


def compare(
    space: str, dataset: str, algorithm: str, budget: int, error: float | None, *, single: bool = True
) -> tuple[Published | None, str]:
    """Return the published value of an algorithm on a data set, at this budget if there is one, and a
    verdict on a measured mean test error: within tolerance, outside, or why it cannot be said.

    ``single``: the searched losses are those of one training each.
    """
    dataset = dataset.partition("/")[0]
    known = [p for p in PUBLISHED if p[:3] == (space, dataset, algorithm)]
    if not known:
        return None, "n/a"
    value = min(known, key=lambda p: (abs(p.budget - budget), p.budget))
    if error is None:
        return value, "no test error"
    if value.budget != budget:
        return value, f"published at {value.budget} queries"
    if dataset == "cifar10" and single:
        return value, DIFFERS
    off = error - value.error
    return (
        value,
        f"{'within' if abs(off) <= TOLERANCE[dataset] else 'outside'} {TOLERANCE[dataset]} ({off:+.2f})",
    )
