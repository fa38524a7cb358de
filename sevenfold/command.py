"""The command line of ``train.py``; standard library only, so that ``--help`` answers at once."""

import argparse
import importlib.util
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

# Order of the help text: what trains first, what informs last.
VERBS = ("fit", "validate", "test", "predict", "check", "sweep", "list", "describe", "schema")
TOPICS = ("sweep", "list", "describe", "schema")  # verbs that take a word of their own
_SETTING = re.compile(
    r"(?!--(config|ckpt|jobs|count|resume|shard|only|allow)=)(--)?[A-Za-z_][\w./\[\]-]*=", re.ASCII
)
_ONLY = re.compile(r"([A-Za-z_][\w./\[\]-]*)=([^,\[\]{}]+(,[^,\[\]{}]+)*)", re.ASCII)

_EXAMPLES = """\
examples:
  python train.py --config configs/flow/demo.yaml
  python train.py --config configs/flow/demo.yaml trainer.max_epochs=2 --model.optim.lr=1e-4
  python train.py check --config configs/flow/demo.yaml                      open everything, run nothing
  python train.py --config configs/flow/demo.yaml --resume                   go on after an interruption
  python train.py --ckpt runs/flow_demo/version_0/checkpoints/last.ckpt      train on from a checkpoint
  python train.py test --ckpt runs/flow_demo/version_0/checkpoints/last.ckpt
  python train.py --config configs/nas/search_digits.yaml --shard 3/16       one of 16 independent jobs
  python train.py --config configs/nas/search_digits.yaml --only study.algorithms=random,evolution
  python train.py sweep configs/sweeps/flow_demo.yaml
  python train.py list                                     every kind of component; list nas.algorithms: those
  python train.py describe model.network=deq_flow          every option with type, range, default and meaning
  python train.py check prior configs/diffreps/siren_mnist.yaml        is a prior read as it was trained?
  python train.py flow a.jpg b.jpg                         flow of your own pictures or video, see flow --help
"""


@dataclass(frozen=True)
class Command:
    """One parsed command line: the verb if given, the files and the ``key=value`` settings."""

    verb: str | None
    configs: tuple[str, ...]
    ckpt: str | None
    print_config: bool
    topic: str | None
    settings: tuple[str, ...]
    jobs: int = 1
    count: int | None = None
    resume: Literal["no", "yes", "must"] = "no"
    shard: tuple[int, int] = (1, 1)
    untrained: bool = False
    allow: tuple[str, ...] = ()
    json: bool = False
    short: bool = False


def parse(argv: Sequence[str]) -> Command:
    """Parse the arguments after the program's name; mistakes end in argparse's usage and exit status 2.

    Settings are cut out before argparse looks: it would take ``--key=[0.8, 0.9]`` for a positional because of
    the space. The word after ``--config`` or ``--ckpt`` is a file even where it holds ``=``
    (``epoch=1-step=16.ckpt``).
    """
    settings: list[str] = []
    rest: list[str] = []
    # argparse cannot take an optional value and still leave the next word to the verb.
    words = ["--resume-must" if word == "--resume=must" else word for word in argv]
    for before, word in zip(["", *words], words, strict=False):
        is_setting = before not in ("--config", "--ckpt", "--only", "--allow") and _SETTING.match(word)
        # "study=nas_search" after describe is a name, though it looks like a setting.
        is_topic = before == "describe" and "describe" not in rest[:-1]
        (settings if is_setting and not is_topic else rest).append(word)
    complete()
    # Intermixed: the verb may stand before or after the options.
    options = parser().parse_intermixed_args(rest)
    if options.verb not in TOPICS and options.topic is not None:
        parser().error(f"'{options.verb}' takes no {options.topic!r}: use --config FILE")
    if options.verb in ("sweep", "describe") and options.topic is None:
        parser().error(f"'{options.verb}' needs {'a file' if options.verb == 'sweep' else 'a name'}")
    if options.verb not in TOPICS and not options.config and not options.ckpt:
        parser().error("nothing to do: give --config FILE, --ckpt FILE or both")
    if options.verb != "sweep" and (options.jobs, options.count) != (None, None):
        parser().error("--jobs and --count belong to 'sweep'")
    return Command(
        options.verb,
        tuple(options.config),
        options.ckpt,
        options.print_config,
        options.topic,
        (*settings, *options.only),
        options.jobs or 1,
        options.count,
        options.resume,
        options.shard,
        options.untrained,
        tuple(options.allow),
        options.json,
        options.short,
    )


def complete() -> None:
    """Answer a shell that asks for completions, where ``argcomplete`` is installed (extra ``completion``).

    Switched on by ``eval "$(register-python-argcomplete sevenfold)"``. Completed are options, verbs, recipes
    after ``--config``, tables after ``list``, and keys and names of components.
    """
    if "argcomplete" not in sys.modules and importlib.util.find_spec("argcomplete") is None:
        return
    from sevenfold.reference.completion import answer_shell

    answer_shell(parser())


def parser() -> argparse.ArgumentParser:
    """Return the parser of everything but ``key=value`` settings."""
    parser = argparse.ArgumentParser(
        "train.py",
        usage="python train.py [VERB] [--config FILE]... [--ckpt FILE] [--print-config] [key=value]...",
        description="Train, evaluate, search and sample, as a configuration says.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("verb", nargs="?", choices=VERBS, help="default: the configuration's own verb")
    parser.add_argument(
        "topic",
        nargs="?",
        metavar="TOPIC",
        help="sweep: a file in W&B's schema; list: a table; describe: a component, such as study=nas_search",
    )
    parser.add_argument(
        "--config",
        action="append",
        default=[],
        metavar="FILE",
        help="YAML file, or the name of a shipped recipe such as flow/demo; several merge left to right",
    )
    parser.add_argument(
        "--ckpt",
        metavar="FILE",
        help="alone: resume or evaluate that run; with --config: that state, this config",
    )
    parser.add_argument(
        "--print-config",
        action="store_true",
        help="print the whole configuration, defaults and their meaning included, and stop",
    )
    parser.add_argument("--short", action="store_true", help="with --print-config: without defaults")
    parser.add_argument("--json", action="store_true", help="with list and describe: JSON in place of text")
    parser.add_argument(
        "--allow",
        action="append",
        default=[],
        metavar="PACKAGE",
        help="let names package.module:Class of this package stand for components",
    )
    parser.add_argument(
        "--resume",
        action="store_const",
        const="yes",
        default="no",
        help="take up the newest interrupted run of this configuration; --resume=must: fail without one",
    )
    parser.add_argument(
        "--resume-must", dest="resume", action="store_const", const="must", help=argparse.SUPPRESS
    )
    parser.add_argument(
        "--shard",
        type=_shard,
        default=(1, 1),
        metavar="I/N",
        help="of N independent jobs that fill one run folder of a study this is number I, from 1",
    )
    parser.add_argument("--untrained", action="store_true", help="evaluate a model without trained weights")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        type=_only,
        metavar="KEY=A,B",
        help="of the entries of a mapping, such as study.algorithms, keep these labels alone",
    )
    parser.add_argument("--jobs", type=_positive, metavar="N", help="with sweep: trials at once (default 1)")
    parser.add_argument("--count", type=_positive, metavar="N", help="with sweep: number of trials at most")
    return parser


def _shard(text: str) -> tuple[int, int]:
    number, _, count = text.partition("/")
    if not (number.isdigit() and count.isdigit() and 1 <= int(number) <= int(count)):
        raise argparse.ArgumentTypeError(f"expected I/N with 1 <= I <= N, such as 3/16, got {text!r}")
    return int(number), int(count)


def _only(text: str) -> str:
    """Turn ``study.algorithms=a,b`` into the setting ``study.algorithms._only=[a, b]``."""
    match = _ONLY.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"expected KEY=LABEL,LABEL..., got {text!r}")
    labels = ", ".join(f"'{label.strip()}'" for label in match[2].split(","))
    return f"{match[1]}._only=[{labels}]"


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a positive whole number, got {text!r}")
    return int(text)
