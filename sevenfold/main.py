"""Train, evaluate, search and sample: every run of the suite starts here.

The story of a run, top to bottom: read the command line, compose the configuration, check all of it, choose
the run folder, and start Lightning. ``python train.py --help`` shows the command line. This file and
``sevenfold.load`` are the doors of the package: they alone know Lightning and the adapters.
"""

import logging
import os
import re
import signal
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sevenfold.command import Command, parse
from sevenfold.errors import InputError
from sevenfold.tables import allow

Parts = tuple[Any, Any, list[Any]]  # Lightning module, data module, callbacks that belong to them


PROGRAM = Path(__file__).with_name("__main__.py")


def main(argv: Sequence[str] | None = None, *, program: Path = PROGRAM) -> int:
    """Run one command line; return the exit status.

    Args:
        argv: the words of the command line; by default those of this process.
        program: the script that further processes of the same command run (the trials of a sweep).

    0: finished; 1: a failing disk or device; 2: bad input; 3: training diverged; 128 + n: ended by signal n.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["flow"]:
        from sevenfold.flow.command import main as estimate

        return estimate(words[1:])
    if words[:2] == ["check", "prior"]:
        from sevenfold.diffreps.command import main as check_prior

        return check_prior(words[2:])
    command = parse(words)
    try:
        return dispatch(command, program)
    except InputError as error:
        # From a data loader's worker the message arrives behind the worker's traceback.
        print(f"error: {str(error).rpartition('InputError: ')[2].strip()}", file=sys.stderr)
        return 3 if type(error).__name__ == "Diverged" else 2
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except Exception as error:
        if type(error).__name__ != "MisconfigurationException":  # Lightning's word for bad input
            raise
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def dispatch(command: Command, program: Path) -> int:
    """Describe the suite, print the configuration, run a sweep, or run one verb."""
    allow(*command.allow)
    if command.verb in ("list", "describe", "schema"):
        from sevenfold.reference import answer

        print(answer(command.verb, command.topic, json=command.json))
        return 0
    if command.verb == "sweep":
        from sevenfold.sweep import run_sweep

        settings = [*(f"--allow={package}" for package in command.allow), *command.settings]
        return run_sweep(str(command.topic), settings, program, jobs=command.jobs, count=command.count)
    config = read_config(command)
    if "study" in config:
        command = replace(command, ckpt=None)  # read_config has made an option of it: no state for Lightning
    if command.print_config:
        if command.short:
            import yaml

            print(yaml.safe_dump(config, sort_keys=False), end="")
        else:
            from sevenfold.reference.defaults import commented

            print(commented(config), end="")
        return 0
    return run(config, command)


def read_config(command: Command) -> dict[str, Any]:
    """Compose files and settings; with ``--ckpt`` alone, start from the configuration in the checkpoint."""
    from sevenfold.config import compose, read_file
    from sevenfold.recipes import recipe

    layers = [read_file(recipe(path)) for path in command.configs]
    settings = command.settings
    study = None
    if command.ckpt:  # only then: without torch a configuration is printed at once
        from sevenfold.checkpoint import debiased_study

        study = debiased_study(command.ckpt, command.verb, bool(command.configs))
    if study:
        layers.append(study)
        # the words of trainings, data.source.path=..., mean the study's
        settings = tuple(re.sub(r"^(--)?data\.", "study.", text) for text in settings)
    elif command.configs:
        layers.insert(0, {"name": Path(command.configs[-1]).stem})
    else:
        from sevenfold.checkpoint import carried_config

        layers.append(carried_config(str(command.ckpt)))
        if "study" in layers[-1]:  # which may name code that is to be run
            raise InputError(f"'{command.ckpt}' holds a study; name its recipe with --config")
    if command.verb not in (None, "check") and not study:
        layers.append({"verb": command.verb})
    config = compose(layers, settings)
    if command.ckpt and "study" in config and not study:
        raise InputError("a study has no weights to load: leave --ckpt out")
    if command.shard != (1, 1) and "study" not in config:
        raise InputError("--shard divides a study into pieces; this configuration is none")
    weights = command.ckpt or command.untrained or config.get("model", {}).get("weights")
    if "study" not in config and config["verb"] != "fit" and not weights and command.verb != "check":
        raise InputError(
            f"{config['verb']}: no trained weights: give --ckpt FILE (or model.weights=FILE where the model "
            "has it), or say --untrained"
        )
    return config


def run(config: dict[str, Any], command: Command) -> int:
    """Check every part, build it, choose the run folder, and leave results there whatever happens."""
    import pytorch_lightning as pl
    from lightning_fabric.utilities.exceptions import MisconfigurationException

    from callbacks import CALLBACKS, LOGGERS, STRATEGIES
    from callbacks.run_folder import RunFolder
    from callbacks.run_identity import choose_folder, discard
    from callbacks.signals import SaveAtEnd, StopOnSignal
    from callbacks.trackers import forgiving
    from datamodules import DATAMODULES
    from lightning_modules import MODELS
    from sevenfold.checkpoint import check_state, read_checkpoint, state_of
    from sevenfold.config import ConfigError, build, entry_node, prepare
    from sevenfold.exchange import check_exchange

    def prepare_each(part: str, table: Mapping[str, str], **given: Any) -> list[Any]:
        nodes = {label: node for label, node in config[part].items() if node is not None}
        return [
            prepare(table, entry_node(label, node), f"{part}.{label}", **given)
            for label, node in nodes.items()
        ]

    def prepare_trainer(**given: Any) -> Any:
        table, options = {"trainer": "pytorch_lightning:Trainer"}, dict(config["trainer"])
        options.pop("max_time", None)
        # With `progress: null` Lightning would add its bar; another entry of the class keeps it.
        others = [
            node for node in config["callbacks"].values() if isinstance(node, dict) and "_class" in node
        ]
        if config["callbacks"].get("progress", {}) is None and not others:
            options.setdefault("enable_progress_bar", False)
        if isinstance(options.get("strategy"), dict):
            given["strategy"] = build(STRATEGIES, options.pop("strategy"), "trainer.strategy")
        return prepare(table, {**options, "name": "trainer"}, "trainer", **given)

    limit = time_limit(config["trainer"])
    make_parts = prepare_study(config, command.shard) if "study" in config else prepare_model(config)
    check_exchange(config, {"model": MODELS, "data": DATAMODULES, "callbacks": CALLBACKS})
    make_callbacks = prepare_each("callbacks", CALLBACKS)
    prepare_each("logger", LOGGERS, run=None)
    prepare_trainer(logger=None, callbacks=None, default_root_dir=None)

    # Lightning's tips and one deprecation of its own would be the first thing a newcomer reads.
    for name in ("utilities.rank_zero", "trainer.connectors.checkpoint_connector"):
        logging.getLogger(f"pytorch_lightning.{name}").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*LeafSpec.*deprecated")
    warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")
    pl.seed_everything(config["seed"], workers=True, verbose=False)
    stop = StopOnSignal(minutes=config["checkpoint_minutes"], limit=limit)
    model, data, report = make_parts(stop)
    callbacks = [SaveAtEnd(stop), *report, *(make() for make in make_callbacks), stop]
    fit = config["verb"] == "fit"
    if command.ckpt:
        check_state(state_of(read_checkpoint(command.ckpt), command.ckpt, resume=fit), model, command.ckpt)
    if command.verb == "check":
        print(f"ok: {config['name']}")
        return 0

    bound = {"config": config, "shard": command.shard}
    claim = choose_folder(config, command.resume, command.shard)
    try:
        folder = claim.folder
        last = folder / "checkpoints/last.ckpt"
        if goes_on := claim.resumed and fit and last.is_file():
            check_state(state_of(read_checkpoint(last), last, resume=True), model, last)
        ckpt = str(last) if goes_on else command.ckpt
        make_loggers = prepare_each("logger", LOGGERS, run=dict(bound, folder=folder))
        loggers = [forgiving(make()) for make in make_loggers]
        callbacks.insert(0, RunFolder(folder, config))
        trainer = prepare_trainer(logger=loggers, callbacks=callbacks, default_root_dir=folder)()
    except (MisconfigurationException, ValueError, RuntimeError) as error:
        discard(claim)
        raise (
            error if isinstance(error, InputError) else ConfigError("trainer", " ".join(str(error).split()))
        ) from None
    except BaseException:
        claim.release()
        raise
    try:
        return execute(trainer, model, data, config, ckpt)
    finally:
        stop.leave()
        claim.release()


def time_limit(options: Mapping[str, Any]) -> float:
    """Return the seconds of ``trainer.max_time``, after which a training is interrupted, to be resumed."""
    from datetime import timedelta

    from pytorch_lightning.callbacks import Timer

    from sevenfold.config import ConfigError

    value = options.get("max_time")
    if value is None:
        return float("inf")
    try:
        return float(Timer(timedelta(**value) if isinstance(value, dict) else value).time_remaining() or 0)
    except Exception as error:  # Lightning raises several kinds for texts that are no duration
        message = f"expected DD:HH:MM:SS, such as 00:00:15:00, got {value!r} ({' '.join(str(error).split())})"
        raise ConfigError("trainer.max_time", message) from None


def prepare_model(config: dict[str, Any]) -> Callable[[Any], Parts]:
    """Check module and data module; return what builds them."""
    from datamodules import DATAMODULES
    from lightning_modules import MODELS
    from sevenfold.config import ConfigError, prepare
    from sevenfold.studies import FORMER

    if former := FORMER.get(config["model"]["name"]):
        message = f"is the study '{former[0]}' now: write it as in configs/{former[1]}.yaml"
        raise ConfigError("model.name", f"'{config['model']['name']}' {message}")
    if "stage" in config["data"]:
        stage = config["data"]["stage"]
        message = f"stages are mixes of declared sets now: write base: base/{stage}.yaml, or data.sets"
        raise ConfigError("data.stage", message)
    make_model = prepare(MODELS, config["model"], "model")
    make_data = prepare(DATAMODULES, config["data"], "data")
    return lambda stop: (make_model(), make_data(), [])


def prepare_study(config: dict[str, Any], shard: tuple[int, int]) -> Callable[[Any], Parts]:
    """Check a study's options; return what builds it, opens its data and puts it into Lightning's hands."""
    from callbacks.study_report import StudyReport
    from datamodules.pieces import Pieces
    from lightning_modules import STUDY_MODULES
    from sevenfold.config import ConfigError, below, locate, named, prepare
    from sevenfold.executors import EXECUTORS
    from sevenfold.studies import STUDIES

    kind = named(STUDIES, config["study"], "study")
    trainer = config["trainer"]
    if trainer.pop("fast_dev_run", False):
        config["study"] = kind.tiny(config["study"])
    if kind.devices == "cpu" and trainer.get("accelerator", "auto") not in ("auto", "cpu"):
        message = f"'{config['study']['name']}' runs on the CPU: say auto or cpu"
        raise ConfigError("trainer.accelerator", message)
    if kind.devices == "cpu":
        trainer["accelerator"] = "cpu"
    make = prepare(STUDIES, config["study"], "study")
    make_executor = prepare(EXECUTORS, config["executor"], "executor")
    module = STUDY_MODULES.get(config["study"]["name"], "lightning_modules.study:StudyModule")

    def parts(stop: Any) -> Parts:
        study, executor = make(), make_executor()
        with below("study"):
            study.check()
        return (
            locate(module)(study, seed=config["seed"], executor=executor, stopping=stop.requested),
            Pieces(study, shard=shard, window=executor.window),
            [StudyReport(study, shard=shard)],
        )

    return parts


def execute(trainer: Any, model: Any, data: Any, config: dict[str, Any], ckpt: str | None) -> int:
    """Run Lightning and write ``results.json`` however that ends; return the exit status."""
    from callbacks import trackers
    from callbacks.signals import StopOnSignal
    from callbacks.study_report import StudyReport
    from sevenfold.interruption import Interrupted, requeue
    from sevenfold.loss_watch import Diverged
    from sevenfold.report.run import write_report
    from sevenfold.results import Results

    folder = Path(trainer.default_root_dir)
    results = Results(folder if trainer.is_global_zero else None, config)
    reports = [callback for callback in trainer.callbacks if isinstance(callback, StudyReport)]
    stop = next(callback for callback in trainer.callbacks if isinstance(callback, StopOnSignal))
    try:
        call_lightning(trainer, model, data, config, ckpt, results)
    except Diverged as error:
        results.update(trainer.callback_metrics)
        results.write("diverged", **error.facts)
        last = stop.path if stop.path.is_file() else "none"
        raise Diverged(f"{error}; the last finite checkpoint: {last}", **error.facts) from None
    except (Interrupted, KeyboardInterrupt, SystemExit) as error:  # Lightning turns Ctrl-C into SystemExit
        stop.number = stop.number or getattr(error, "number", signal.SIGINT)
        if stop.number is None:
            results.write("interrupted")
            print(
                f"\nout of time after {trainer.global_step} steps; to go on: --resume\nrun folder: {folder}"
            )
            return 0
    except BaseException:
        results.write("failed")
        raise
    complete = all(report.complete for report in reports)
    if stop.number is not None and not (reports and complete):
        results.write("interrupted")
        requeue(stop.number, os.environ)
        name = signal.Signals(stop.number).name
        print(f"\ninterrupted by {name}; to go on: --resume\nrun folder: {folder}")
        return 0 if launched() else 128 + stop.number
    if complete:
        facts = reports[0].report.facts if reports and reports[0].report else {}
        results.write("finished", **facts)
    if trainer.is_global_zero and complete:
        report = (reports[0].report if reports else None) or report_training(trainer, model, folder)
        page = write_report(report, folder)
        trackers.report(trainer, config, {**results.metrics, **results.reference}, folder)
        print(f"\n{report}\n\nrun folder: {folder} (page: {page.name}, pictures: images/)")
    elif trainer.is_global_zero:
        print(f"\nother shards are to follow\nrun folder: {folder}")
    return 0


def report_training(trainer: Any, model: Any, folder: Path) -> Any:
    """Return the report of a training, an evaluation or a prediction from its numbers.

    A module with ``headline(metrics, reference)`` chooses table and sentences, callbacks with ``sections()``
    add parts.
    """
    from sevenfold.report.run import plain_headline, read_run, training_report

    run = read_run(folder)
    numbers = run["metrics"], run["reference"]
    table, text = model.headline(*numbers) if hasattr(model, "headline") else (plain_headline(*numbers), [])
    parts = [callback.sections() for callback in trainer.callbacks if hasattr(callback, "sections")]
    return training_report(run, folder, table, text, [section for part in parts for section in part])


def launched() -> bool:
    """Tell whether this process is a rank that another one of ours started, and that watches its status."""
    return "SEVENFOLD_RUN_FOLDER" in os.environ and os.environ.get("LOCAL_RANK", "0") != "0"


def call_lightning(
    trainer: Any, model: Any, data: Any, config: dict[str, Any], ckpt: str | None, results: Any
) -> None:
    """Run one verb, and the test set after a fit; collect what was measured."""
    from callbacks import trackers

    state = {"datamodule": data, "weights_only": True}
    trackers.begin(trainer, model, config)
    if config["verb"] == "fit":
        trainer.fit(model, ckpt_path=ckpt, **state)
        results.update(trainer.callback_metrics)
        if config["test_after_fit"]:
            checkpoint = trainer.checkpoint_callback
            best = checkpoint.best_model_path if checkpoint and checkpoint.monitor else None
            trainer.test(model, ckpt_path=best or None, verbose=False, **state)
    elif config["verb"] == "predict":
        trainer.predict(model, ckpt_path=ckpt, return_predictions=False, **state)
    else:
        getattr(trainer, config["verb"])(model, ckpt_path=ckpt, verbose=False, **state)
    results.update(trainer.callback_metrics)
    for callback in trainer.callbacks:
        if hasattr(callback, "results"):
            results.update(callback.results())
