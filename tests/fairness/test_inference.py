"""Intervals cover, verdicts err as rarely as they say, and rows needed are enough."""

import numpy as np
import pytest
import torch
from scipy.stats import binomtest
from torch import Tensor

from sevenfold.errors import InputError
from sevenfold.fairness.confusion import Confusion
from sevenfold.fairness.expressions import parse
from sevenfold.fairness.inference import VERDICTS, interval, rows_needed, verdict, wilson
from sevenfold.fairness.measures import MEASURES, bias

DRAWS = 1500
ERROR = (0.93 * 0.07 / DRAWS) ** 0.5  # standard error of a simulated coverage near .93
# P(decision 1 | group, label), rows (group 0: y = 0, 1), (group 1: y = 0, 1), and the share of y = 1.
SHAPES = {
    "decisions are labels": (((0.0, 1.0), (0.0, 1.0)), 0.5),
    "nearly labels": (((0.05, 0.95), (0.05, 0.95)), 0.5),
    "middling": (((0.3, 0.6), (0.3, 0.6)), 0.4),
    "biased": (((0.2, 0.5), (0.35, 0.7)), 0.4),
    "rare labels": (((0.05, 0.5), (0.05, 0.5)), 0.1),
    "gaps that cancel": (((0.4, 0.5), (0.3, 0.6)), 0.5),
}


def cells(shape: str, share: float) -> np.ndarray:
    """Return P(group, label, decision), (2, 2, 2)."""
    rates, base = SHAPES[shape]
    out = np.zeros((2, 2, 2))
    for a in (0, 1):
        for y in (0, 1):
            weight = (share if a == 0 else 1 - share) * (base if y else 1 - base)
            out[a, y] = weight * (1 - rates[a][y]), weight * rates[a][y]
    return out


def draw(shape: str, share: float, n: int, draws: int = DRAWS) -> Confusion:
    """Return the counts of samples in which labels, groups and decisions are random."""
    generator = np.random.default_rng([n, round(100 * share), list(SHAPES).index(shape)])
    counts = generator.multinomial(n, cells(shape, share).ravel(), draws).reshape(draws, 2, 2, 2)
    table = torch.from_numpy(counts).double()
    return Confusion.two(table[..., 1], table.sum(-1))


def truth(measure: str, shape: str, share: float) -> float:
    table = torch.from_numpy(cells(shape, share))
    return float(bias(measure, Confusion.two(table[..., 1], table.sum(-1))))


def covered(low: Tensor, high: Tensor, value: float) -> float:
    return float(((low <= value + 1e-12) & (value <= high + 1e-12)).double().mean())


SIZES = [(100, 0.5), (100, 0.3), (400, 0.5), (400, 0.1), (1200, 0.1), (1200, 0.03), (4000, 0.3)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("measure", MEASURES)
def test_check_01_intervals_cover(measure: str, shape: str) -> None:
    for n, share in SIZES:
        assert n * share >= 30
        low, high = interval(measure, draw(shape, share, n))
        # The least of 7 simulated coverages, each allowed three standard errors.
        assert covered(low, high, truth(measure, shape, share)) >= 0.93 - 3 * ERROR


def resampled(measure: str, sample: Confusion) -> tuple[Tensor, Tensor]:
    """Return the percentile interval over resamples within cells, which this project used before."""
    positives, totals = sample.positives[..., 0], sample.totals
    rates = torch.nan_to_num(positives / totals)
    generator = torch.Generator().manual_seed(0)
    counts = torch.binomial(totals.expand(300, *totals.shape), rates.expand(300, *rates.shape), generator)
    values = bias(measure, Confusion(counts[..., None], totals)).nan_to_num()
    low, high = values.quantile(values.new_tensor([0.025, 0.975]), dim=0)
    return low, high


@pytest.mark.parametrize("measure", MEASURES)
def test_check_01_resampling_within_cells_fails_the_same_test(measure: str) -> None:
    worst = min(
        covered(*resampled(measure, draw(shape, 0.3, 100)), truth(measure, shape, 0.3)) for shape in SHAPES
    )
    assert worst < 0.9


@pytest.mark.parametrize("measure", MEASURES)
def test_check_02_verdicts_at_the_bound_err_as_rarely_as_they_say(measure: str) -> None:
    """At a bound equal to the true bias either verdict is wrong."""
    for n, share in ((400, 0.3), (4000, 0.3)):
        bound = abs(truth(measure, "biased", share))
        codes = verdict(measure, draw("biased", share, n), bound)
        for name in ("met", "violated"):
            assert float((codes == VERDICTS.index(name)).double().mean()) <= 0.065


def test_verdicts_are_their_intervals() -> None:
    for measure in MEASURES:
        sample = draw("biased", 0.3, 1200, 200)
        low, high = interval(measure, sample, level=0.9)
        codes = verdict(measure, sample, 0.1)
        assert torch.equal(codes == 0, (low > -0.1) & (high < 0.1))
        assert torch.equal(codes == 2, (low > 0.1) | (high < -0.1))
        assert len(set(codes.tolist())) > 1


@pytest.mark.parametrize("measure", ["spd", "eod", "aod"])
def test_check_03_rows_needed_have_the_power_that_was_asked_for(measure: str) -> None:
    table = torch.from_numpy(cells("middling", 0.35))
    n = round(rows_needed(measure, Confusion.two(table[..., 1], table.sum(-1)), 0.05))
    codes = verdict(measure, draw("middling", 0.35, n), 0.05)
    assert 0.76 <= float((codes == 0).double().mean()) <= 0.84


def test_wilson_intervals_equal_those_of_scipy() -> None:
    for x, n, level in ((37, 120, 0.95), (0, 10, 0.9), (10, 10, 0.99), (1, 4000, 0.95)):
        expected = binomtest(x, n).proportion_ci(level, "wilson")
        low, high = wilson(torch.tensor(float(x)), torch.tensor(float(n)), level)
        assert (float(low), float(high)) == pytest.approx((expected.low, expected.high), abs=1e-6)
    assert [float(end) for end in wilson(torch.tensor(0.0), torch.tensor(0.0))] == [0.0, 1.0]


def test_a_difference_of_two_rates_is_newcombes_tenth_method() -> None:
    # Newcombe 1998, table II, case (a): 56/70 - 48/80, method 10: .0524 to .3339.
    positives = torch.tensor([[56.0, 0.0], [48.0, 0.0]], dtype=torch.float64)
    totals = torch.tensor([[70.0, 0.0], [80.0, 0.0]], dtype=torch.float64)
    low, high = interval("spd", Confusion.two(positives, totals))
    assert (float(low), float(high)) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_nobody_in_a_group_means_that_nothing_is_known() -> None:
    positives = torch.tensor([[0.0, 0.0], [10.0, 30.0]], dtype=torch.float64)
    totals = torch.tensor([[0.0, 0.0], [50.0, 50.0]], dtype=torch.float64)
    for measure in MEASURES:
        sample = Confusion.two(positives, totals)
        low, high = interval(measure, sample)
        assert float(high) == 1.0 and float(low) == (-1.0 if parse(measure).signed else 0.0)
        assert VERDICTS[int(verdict(measure, sample, 0.05))] == "cannot tell"
        assert rows_needed(measure, sample, 0.05) == float("inf")


def test_batches_are_their_members() -> None:
    sample = draw("biased", 0.3, 400, 5)
    for measure in MEASURES:
        low, high = interval(measure, sample)
        for i in range(5):
            one = interval(measure, Confusion(sample.positives[i], sample.totals[i]))
            assert (float(low[i]), float(high[i])) == (float(one[0]), float(one[1]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x, n: interval("sdp", Confusion.two(x, n)), "'sdp' .*is no criterion. Did you mean 'spd'"),
        (lambda x, n: interval("spd", Confusion.two(n, x)), "are the two counts exchanged"),
        (lambda x, n: interval("spd", Confusion.two(x, n), level=95), "level is 95; expected a share"),
        (lambda x, n: verdict("spd", Confusion.two(x, n), 0.0), "expected a bound above 0"),
        (lambda x, n: verdict("spd", Confusion.two(x, n), 0.05, alpha=0.95), "alpha in"),
        (lambda x, n: rows_needed("spd", Confusion.two(x, n), -0.05), "expected a bound above 0"),
        (lambda x, n: rows_needed("spd", Confusion.two(x, n), 0.05, power=80), "power is 80"),
    ],
)
def test_wrong_use_is_refused_in_one_line(call, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        call(torch.full((2, 2), 25.0), torch.full((2, 2), 50.0))
    assert "\n" not in str(caught.value)
