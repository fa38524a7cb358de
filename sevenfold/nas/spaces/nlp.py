"""NAS-Bench-NLP (Klyuchnikov et al. 2020): recurrent cells."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Annotated

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from sevenfold.errors import InputError
from sevenfold.nas.spaces import nlp_moves, nlp_recipes
from sevenfold.nas.spaces.base import Graph, Ints, Part, Space, choose, one_hot
from sevenfold.nas.spaces.nlp_graph import Recipes, positions_of, unpack, wide_labels
from sevenfold.nas.spaces.rejection import change, until_valid
from sevenfold.ranges import Range


class NLP(Space):
    """Recurrent cells, recipes of up to ``max_nodes`` operations on an input and three previous states.

    Vertex 0 is the input x, 1..3 are the previous states. A row holds for each vertex 4..``max_nodes`` its
    operation (0 for none, else a code into ``nlp_graph.OPS``) and its three inputs (an earlier vertex plus 1,
    0 for none), and then the vertices of the new hidden states 0..2 (0 for none). Vertices in use come first;
    the order of inputs matters to ``blend`` alone.

    A recipe is valid if its operations have the inputs they take, all of them different, every vertex leads
    to a new hidden state, and x and the previous value of every hidden state are used. ``keys`` hash what is
    left when vertices are renamed; hidden states keep their numbers.

    The sampling ``adj`` is the benchmark's generator: 9 or 10 vertices, of which two become hidden states and
    those that lead to none are removed. The neighborhood ``adj`` and the mutation ``adj``, of which ``rate``
    happen on average, exchange an operation for another of its kind (activations; sum and product) or an
    input for another earlier vertex. Nothing is published on either; they are this project's own.
    Notations: ``recipe`` (the benchmark's JSON object, names of inner nodes aside) and ``naslib`` (edges,
    operation codes, hidden states).

    Args:
        max_nodes: operations in a recipe, at most.

    >>> import numpy as np
    >>> from sevenfold.nas import NLP
    >>> space, rng = NLP(), np.random.default_rng(0)
    >>> children = space.mutate(space.sample(rng, 5), rng)
    >>> bool((space.keys(space.from_strings(space.to_strings(children))) == space.keys(children)).all())
    True
    """

    samplings = ("adj",)
    mutations = ("adj",)
    neighborhoods = ("adj",)
    notations = ("recipe", "naslib")

    def __init__(self, *, max_nodes: Annotated[int, Range(8, 100)] = 12) -> None:
        self.max_nodes = max_nodes
        self.width = 4 * (max_nodes - 3) + 3

    def sample(self, rng: Generator, n: int, *, method: str = "adj") -> Ints:
        """Draw ``n`` valid recipes with two hidden states, (n, width)."""
        choose(method, self.samplings, "sampling")
        return until_valid(n, partial(nlp_moves.random_recipes, rng, slots=self.max_nodes - 3))

    def mutate(self, archs: Ints, rng: Generator, *, rate: float = 1.0, kind: str = "adj") -> Ints:
        """Return one valid child of each row after floor(rate) edits or one more, (n, width)."""
        choose(kind, self.mutations, "mutation")
        children = self._valid(archs).copy()
        # A rate of 1.3 is one edit, and a second one with probability .3.
        edits = int(rate) + (rng.random(len(children)) < rate % 1)
        for edit in range(edits.max(initial=0)):
            rows = edits > edit
            children[rows] = change(children[rows], partial(nlp_moves.edit, rng=rng))
        return children

    def neighbors(self, arch: ArrayLike, *, kind: str = "adj") -> Ints:
        """Return the different recipes one edit away: operations first, then inputs."""
        choose(kind, self.neighborhoods, "neighborhood")
        row = self._valid(np.atleast_2d(arch))
        others = nlp_moves.all_edits(row[0])
        # Exchanging an input can leave a vertex idle.
        others = others[self.is_valid(others)]
        keys = self.keys(others)
        first = np.sort(np.unique(keys, return_index=True)[1])
        return others[first[keys[first] != self.keys(row)]]

    def keys(self, archs: Ints) -> NDArray[np.int64]:
        """Return a 64-bit hash of each recipe, (n,), equal where only names of vertices differ."""
        return unpack(self.checked(archs)).keys()

    def is_valid(self, archs: Ints) -> NDArray[np.bool_]:
        """Return which rows are valid recipes, (n,)."""
        return unpack(self.checked(archs)).valid()

    def to_strings(self, archs: Ints, *, notation: str = "recipe") -> list[str]:
        """Write recipes as JSON objects or as NASLib's tuples."""
        choose(notation, self.notations, "notation")
        write = nlp_recipes.to_recipe if notation == "recipe" else nlp_recipes.to_compact
        return [write(row) for row in self._valid(archs).tolist()]

    def from_strings(self, strings: Iterable[str], *, notation: str = "recipe") -> Ints:
        """Read recipes, (n, width); vertices are put into an order in which inputs come first."""
        choose(notation, self.notations, "notation")
        read = nlp_recipes.from_recipe if notation == "recipe" else nlp_recipes.from_compact
        texts = list(strings)
        archs = np.array([read(text, self.max_nodes - 3) for text in texts], np.int8).reshape(-1, self.width)
        if not (valid := self.is_valid(archs)).all():
            raise InputError(
                f"{texts[int(np.argmin(valid))]!r} is no valid recipe: wrong inputs or idle nodes"
            )
        return archs

    def parts(self, archs: Ints) -> list[Part]:
        """Return the (m+1) x (m+1) matrix, the m+1 operation codes and the three hidden states.

        As in NASLib the last vertex in use stands last, behind the idle ones, while hidden states are
        numbered without that.
        """
        recipes = unpack(self.checked(archs))
        place = positions_of(recipes.counts, self.max_nodes)
        n, size = len(place), self.max_nodes + 1
        matrix = np.zeros((n, size, size), np.int8)
        row, slot, which = np.nonzero(recipes.inputs)
        matrix[row, place[row, recipes.inputs[row, slot, which] - 1], place[row, slot + 4]] = 1
        codes = np.zeros((n, size), np.int8)
        row, slot = np.nonzero(recipes.ops)
        codes[row, place[row, slot + 4]] = recipes.ops[row, slot]
        return [
            Part(matrix.reshape(n, size * size)),
            Part(codes, 8),
            Part(recipes.hidden, size, members=True),
        ]

    def from_parts(self, values: Sequence[Ints]) -> Ints:
        """Return the recipes with these matrices, codes and hidden states; inputs come in ascending order."""
        size = self.max_nodes + 1
        matrix, codes = np.asarray(values[0]).reshape(-1, size, size) > 0, np.asarray(values[1])
        place = positions_of((codes[:, 4:] > 0).sum(1), self.max_nodes)
        rows = np.arange(len(codes))[:, None]
        matrix = matrix[rows[:, :, None], place[:, :, None], place[:, None, :]]
        # Inputs become their numbers, absent ones a large number that sorting puts last.
        ranked = np.where(matrix, np.arange(1, size + 1)[:, None], 2 * size)
        inputs = np.sort(ranked, axis=1)[:, :3, 4:].transpose(0, 2, 1)
        inputs = np.where(inputs > size, 0, inputs)
        return Recipes(codes[rows, place][:, 4:], inputs, np.asarray(values[2])).pack()

    def graph(self, archs: Ints) -> Graph:
        """Return ``max_nodes`` + 4 vertices: those of the recipe and one behind each new hidden state.

        The 14 labels are x, the three previous states, the seven operations, the three new states.
        """
        recipes = unpack(self.checked(archs))
        n, size = len(recipes.ops), self.max_nodes + 1
        labels, mask = wide_labels(recipes)
        adjacency = np.zeros((n, size + 3, size + 3), np.uint8)
        row, slot, which = np.nonzero(recipes.inputs)
        adjacency[row, recipes.inputs[row, slot, which] - 1, slot + 4] = 1
        row, state = np.nonzero(recipes.hidden)
        adjacency[row, recipes.hidden[row, state], size + state] = 1
        return Graph(adjacency, one_hot(labels, 14) * mask[:, :, None], mask)

    def _valid(self, archs: ArrayLike) -> Ints:
        array = self.checked(archs)
        if not (valid := self.is_valid(array)).all():
            raise InputError(f"row {int(np.argmin(valid))} is no valid recipe")
        return array.astype(np.int8)
