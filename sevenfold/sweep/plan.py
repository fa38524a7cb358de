"""Which parameters the next trial of a sweep gets."""

from typing import Any, Protocol

from sevenfold.errors import ConfigError
from sevenfold.sweep.file import SweepFile
from sevenfold.sweep.space import Parameter


class Planner(Protocol):
    """What the driver asks: how many trials, the parameters of one, and what came of it."""

    def total(self, count: int | None) -> int:
        """Return how many trials to run, at most ``count``."""

    def ask(self, number: int) -> dict[str, Any]:
        """Return the parameters of trial ``number``."""

    def tell(self, record: dict[str, Any]) -> None:
        """Take note of how a trial ended."""


class Listed:
    """Grid and random search: trial k is known in advance."""

    def __init__(self, sweep: SweepFile):
        self.sweep, self.combinations = sweep, sweep.grid() if sweep.method == "grid" else None

    def total(self, count: int | None) -> int:
        """Return how many trials there are; a random search needs a bound."""
        if self.combinations is not None:
            return min(len(self.combinations), count or len(self.combinations))
        return _bounded(count, self.sweep)

    def ask(self, number: int) -> dict[str, Any]:
        """Return the parameters of one trial."""
        return self.combinations[number] if self.combinations is not None else self.sweep.sample(number)

    def tell(self, record: dict[str, Any]) -> None:
        """Nothing to learn."""


class Bayes:
    """Optuna's tree-structured Parzen estimator; finished trials of an earlier call count as observations."""

    def __init__(self, sweep: SweepFile):
        try:
            import optuna
        except ModuleNotFoundError:
            message = "bayes needs the extra 'sweep': pip install -e '.[sweep]'"
            raise ConfigError("method", message) from None
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.sweep, self.optuna = sweep, optuna
        self.asked: dict[int, Any] = {}
        self.space = {one.name: _optuna_distribution(optuna, one) for one in sweep.parameters}
        # A fixed seed: with one job at a time the whole sweep can be repeated.
        sampler = optuna.samplers.TPESampler(seed=0)
        directions = optuna.study.StudyDirection
        direction = directions.MAXIMIZE if sweep.maximize else directions.MINIMIZE
        self.study = optuna.create_study(direction=direction, sampler=sampler)

    def total(self, count: int | None) -> int:
        """Return how many trials to run."""
        return _bounded(count, self.sweep)

    def ask(self, number: int) -> dict[str, Any]:
        """Ask the sampler for the next trial."""
        self.asked[number] = self.study.ask(self.space)
        return dict(self.asked[number].params)

    def tell(self, record: dict[str, Any]) -> None:
        """Tell the sampler how a trial ended; failed trials count as such."""
        state = self.optuna.trial.TrialState
        value = record["value"] if record["status"] in ("finished", "stopped") else None
        # Others were asked for in an earlier call, whose sampler is gone: they are added as finished trials.
        if record["number"] in self.asked:
            how = state.COMPLETE if value is not None else state.FAIL
            self.study.tell(self.asked.pop(record["number"]), value, state=how)
        elif value is not None:
            done = self.optuna.trial.create_trial(
                params=record["parameters"], distributions=self.space, value=value, state=state.COMPLETE
            )
            self.study.add_trial(done)


def _optuna_distribution(optuna: Any, parameter: Parameter) -> Any:
    o, kinds = parameter.options, optuna.distributions
    if parameter.distribution in ("constant", "categorical"):
        return kinds.CategoricalDistribution(parameter.grid())
    if parameter.distribution == "int_uniform":
        return kinds.IntDistribution(o["min"], o["max"])
    if parameter.distribution in ("uniform", "q_uniform"):
        return kinds.FloatDistribution(o["min"], o["max"], step=o.get("q"))
    if parameter.distribution.removeprefix("inv_").startswith("log_uniform"):
        return kinds.FloatDistribution(*parameter.interval(), log=True)
    raise ConfigError(f"parameters.{parameter.name}", f"method bayes cannot use {parameter.distribution}")


def _bounded(count: int | None, sweep: SweepFile) -> int:
    if count is None:
        message = f"method {sweep.method} never ends: set run_cap in the file, or --count N"
        raise ConfigError("run_cap", message)
    return count
