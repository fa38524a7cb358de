"""Tables and text of a report on debiasing: bias of the base networks, methods, costs and uncertainty."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sevenfold.fairness import POSTPROCESSORS
from sevenfold.fairness.inference import ALPHA, POWER, VERDICTS
from sevenfold.fairness.studies.recommended import CONTROLS, recommended, search_met
from sevenfold.records import Record, summarize
from sevenfold.study import Section, Table

Records = Sequence[Record]
ByLabel = Mapping[str, Records]
Settings = Mapping[str, ByLabel]

WORDS = {
    "spd": "the share of people who get the favorable decision (SPD)",
    "eod": "the share of deserving people who get the favorable decision (EOD)",
    "aod": "the rates of right and wrong favorable decisions, averaged (AOD)",
    "aaod": "the rates of right and wrong favorable decisions, absolute gaps averaged",
    "eqodds": "the rates of right or wrong favorable decisions, whichever differs more",
}
SIGNED = ("spd", "eod", "aod")
REFERENCE = "reject_option"
ACCURACY_GAP, BIAS_GAP = 0.03, 0.01
SCALARS = ("balanced_accuracy", "mu", "abs_mu", "within", "auc", "fair_label_balanced_accuracy")
DETAILED = ("base", "reject_option", "rank_one")
OUTCOMES = " / ".join(VERDICTS)
SHOWN = 20  # networks of a setting whose verdicts are listed one by one


def by_setting(records: Records, order: Iterable[str]) -> dict[str, dict[str, list[Record]]]:
    """Return records by setting (``table-attribute-with/measure@bound``) and label, labels in ``order``."""
    settings: dict[str, dict[str, list[Record]]] = {}
    for record in records:
        setting, _, label = record["group"].rpartition("/")
        settings.setdefault(setting, {label: [] for label in order}).setdefault(label, []).append(record)
    return {
        setting: {label: trials for label, trials in by_label.items() if trials}
        for setting, by_label in settings.items()
    }


def scalars(records: Records) -> dict[str, float]:
    """Return means and spreads of the headline figures by group."""
    return {name: value for name, value in summarize(records).items() if name.split("/")[-2] in SCALARS}


def uses_attribute(records: Records) -> bool:
    """Tell whether a method needs the protected attribute of the people it decides about."""
    return records[0]["method"] in POSTPROCESSORS


def column(records: Records, name: str) -> NDArray[np.float64]:
    """Return one figure of records, ordered by seed."""
    by_seed = sorted(records, key=lambda record: record["seed"])
    return np.array([record[name] for record in by_seed], float)


def spread(values: NDArray[np.float64]) -> str:
    """Return mean and standard deviation as text, with the number of undefined values."""
    defined = values[~np.isnan(values)]
    if not len(defined):
        return "undefined"
    text = f"{defined.mean():.3f}" + (f" ± {defined.std(ddof=1):.3f}" if len(defined) > 1 else "")
    return text + (f" ({len(values) - len(defined)} undefined)" if len(defined) < len(values) else "")


def headline(settings: Settings) -> Table:
    """Return the table of one row for each method and setting."""
    rows = [["method", "balanced accuracy", "bias", "|bias|", OUTCOMES, "against threshold only",
             "uses attribute"]]  # fmt: skip
    for setting, by_label in settings.items():
        for label in ranked(setting, by_label):
            records = by_label[label]
            name = label if len(settings) == 1 else f"{setting}/{label}"
            accuracy, *bias = (
                spread(column(records, field)) for field in ("balanced_accuracy", "mu", "abs_mu")
            )
            control = paired(records, by_label.get("threshold_only"))
            rows.append([name, accuracy, *bias, outcomes(records), control, yes(uses_attribute(records))])
    return rows


def ranked(setting: str, by_label: ByLabel) -> list[str]:
    """Return the labels: the unchanged network, then methods within the bound, the most accurate first."""
    bound = float(setting.rpartition("@")[2])

    def place(label: str) -> tuple[bool, bool, float]:
        outside = not column(by_label[label], "abs_mu").mean() < bound
        return label != "base", outside, -column(by_label[label], "balanced_accuracy").mean()

    return sorted(by_label, key=place)


def verdict(settings: Settings) -> list[str]:
    """Return the sentences on the first setting, or of several one on each of the first two."""
    stories = [story(setting, by_label).text for setting, by_label in settings.items()]
    if len(stories) == 1:
        return list(stories[0][:2])
    return [f"{setting}: {text[-1]}" for setting, text in zip(settings, stories, strict=True) if text][:2]


def outcomes(records: Records) -> str:
    """Return how many networks have each verdict, in the order of ``VERDICTS``."""
    verdicts = column(records, "verdict")
    return " / ".join(str(int((verdicts == code).sum())) for code in range(len(VERDICTS)))


def yes(value: bool) -> str:
    """Return a truth value as a word."""
    return "yes" if value else "no"


def sections(settings: Settings) -> list[Section]:
    """Return all sections of the report.

    These are: how to read the page, text and tables for each setting, by-group tables, and a model card.
    """
    parts = [INTRODUCTION]
    for setting, by_label in settings.items():
        parts += [story(setting, by_label), table(setting, by_label), verdicts(setting, by_label)]
        parts += against_reference(setting, by_label)
    for by_label in list(settings.values())[-1:]:
        first = next(iter(by_label.values()))[0]
        parts += [*group_tables(by_label), model_card(first)]
    return parts


INTRODUCTION = Section(
    "How to read this",
    [
        "A classifier decides 1 (favorable) or 0 for every person. Bias is the rate in the unprivileged "
        "group minus the rate in the privileged one: 0 is even-handed, negative means that the unprivileged "
        "get less.",
        "Balanced accuracy is the mean of the shares of right decisions among those who should get 1 and "
        "those who should get 0; 0.5 is what treating everybody alike gives.",
        "Tuning and threshold saw validation people only. A bias that only just meets the bound on "
        "validation will often break it on test: that is sampling error, and the intervals say how large "
        "it is.",
    ],
)


def story(setting: str, by_label: ByLabel) -> Section:
    """Return the text about a setting: the bias of the base networks, and the recommended method."""
    place, _, objective = setting.partition("/")
    measure, _, bound = objective.partition("@")
    text = []
    if "base" in by_label:
        mu, low, high = (column(by_label["base"], name) for name in ("mu", "mu_low", "mu_high"))
        less = "less" if mu.mean() < 0 else "more"
        who = f"the unprivileged get {less}; " if measure in SIGNED else ""
        what = f"{WORDS[measure]} differs by" if measure in WORDS else f"{measure} is"
        text.append(
            f"What was unfair: {what} {mu.mean():+.3f} between the groups ({who}95 % interval of one "
            f"network: about ± {(high - low).mean() / 2:.3f})."
        )
        needed, rows = column(by_label["base"], "rows_needed").mean(), column(by_label["base"], "rows").mean()
        if rows < needed:
            text.append(
                f"Can these rows tell? To find a rule without any bias within {bound} takes about "
                f"{needed:,.0f} test rows ({100 * POWER:.0f} % of the time); there are {rows:,.0f}."
            )
    best = recommended(by_label)
    if best is not None and "base" in by_label:
        text.append(recommendation(by_label, best, bound))
    attribute_is_input = place.endswith("-with")
    text.append(
        "The protected attribute is among the network's inputs: methods that change weights may use it."
        if attribute_is_input
        else "The protected attribute is not among the inputs; only post-processors see it."
    )
    return Section(f"{place}: {measure.upper()} within {bound}", text)


def recommendation(by_label: ByLabel, best: str, bound: str) -> str:
    """Return what the method that validation rows recommend does on test rows, once."""
    records = by_label[best]
    cost = column(by_label["base"], "balanced_accuracy").mean() - column(records, "balanced_accuracy").mean()
    met = int(sum(search_met(record) for record in records))
    verdicts = column(records, "verdict")
    counted = [f"{int((verdicts == code).sum())} {word}" for code, word in enumerate(VERDICTS)]
    note = "needs" if uses_attribute(records) else "does not need"
    # chosen by validation rows alone, so that its test figures are not the best of many
    return (
        f"Validation rows recommend {best}: there it is within {bound} for {met} of {len(records)} networks. "
        f"On test people: {', '.join(counted)}; it costs {cost:.3f} of balanced accuracy and {note} the "
        "attribute at prediction."
    )


def table(setting: str, by_label: ByLabel) -> Section:
    """Return the whole comparison of methods in a setting."""
    header = ["method", "balanced accuracy", "bias", "|bias|", OUTCOMES, "95 % of a network's bias",
              "against threshold only", "uses attribute", "seconds"]  # fmt: skip
    fair = any("fair_label_balanced_accuracy" in records[0] for records in by_label.values())
    rows = [header + (["on the fair labels"] if fair else [])]
    for label, records in by_label.items():
        low, high = column(records, "mu_low").mean(), column(records, "mu_high").mean()
        row = [
            label,
            *(spread(column(records, field)) for field in ("balanced_accuracy", "mu", "abs_mu")),
            outcomes(records),
            f"[{low:+.3f}, {high:+.3f}]",
            paired(records, by_label.get("threshold_only")),
            yes(uses_attribute(records)),
            f"{column(records, 'seconds').mean():.3g}" if "seconds" in records[0] else "-",
        ]
        rows.append(row + ([spread(column(records, "fair_label_balanced_accuracy"))] if fair else []))
    text = [
        "'Against threshold only': mean difference of balanced accuracy with its 95 % interval from paired "
        "networks (their splits overlap, so it is somewhat narrow). '95 %': of one test set (MOVER on Wilson "
        "limits), mean of the ends. Verdicts: see the next table. Seconds: of one network's search.",
    ]
    networks = by_label.get("base", [{}])
    if "auc" in networks[0]:
        text.append(
            f"Base networks: test AUC {spread(column(networks, 'auc'))}; "
            f"logistic regression on the same rows {spread(column(networks, 'logistic_auc'))}."
        )
    return Section(f"{setting}: methods", text, rows)


def verdicts(setting: str, by_label: ByLabel) -> Section:
    """Return the verdict of every network, with the interval that it rests on."""
    bound = setting.rpartition("@")[2]
    rows = [["method", "network", "bias", f"{100 * (1 - 2 * ALPHA):.0f} %", "verdict", "rows it would take"]]
    for label, records in by_label.items():
        for record in sorted(records, key=lambda record: record["seed"])[:SHOWN]:
            rows.append(
                [
                    label,
                    str(record["seed"]),
                    f"{record['mu']:+.3f}",
                    f"[{record['verdict_low']:+.3f}, {record['verdict_high']:+.3f}]",
                    VERDICTS[record["verdict"]],
                    f"{record['rows_needed']:,.0f} (has {record['rows']:,})",
                ]
            )
    text = [
        f"Met: the interval lies inside ±{bound}; violated: wholly outside; else these rows cannot tell. A "
        f"wrong verdict at the bound has a probability of at most about {ALPHA:g}. The last column: rows at "
        f"which a rule without bias would be found within the bound {100 * POWER:.0f} % of the time.",
    ]
    return Section(f"{setting}: can these rows tell?", text, rows)


def paired(records: Records, control: Records | None) -> str:
    """Return the mean paired difference of balanced accuracy with its 95 % interval."""
    if control is None or len(records) != len(control):
        return "-"
    difference = column(records, "balanced_accuracy") - column(control, "balanced_accuracy")
    # one network has no spread
    if len(difference) < 2:
        return f"{difference.mean():+.3f}"
    from scipy.stats import t

    # dbar +- t_{.975, n - 1} s / sqrt(n), for paired networks
    half = t.ppf(0.975, len(difference) - 1) * difference.std(ddof=1) / math.sqrt(len(difference))
    return f"{difference.mean():+.3f} ± {half:.3f}"


def against_reference(setting: str, by_label: ByLabel) -> list[Section]:
    """Return the comparison of weight-changing methods with the reject option, where that was run."""
    rows = [row for label in by_label if (row := comparison(label, by_label))]
    text = (
        f"Differences of test means to {REFERENCE}, which uses the attribute at prediction. The bounds, "
        f"balanced accuracy at most {ACCURACY_GAP} lower and |bias| at most {BIAS_GAP} higher, are "
        "this project's."
    )
    header = ["method", "balanced accuracy", "|bias|", "within both bounds"]
    return [Section(f"{setting}: against {REFERENCE}", [text], [header, *rows])] if rows else []


def comparison(label: str, by_label: ByLabel) -> list[str]:
    """Return a method's differences to the reject option, and whether they are within both bounds.

    The list is empty for controls and for methods that use the attribute too.
    """
    records, reference = by_label[label], by_label.get(REFERENCE)
    if reference is None or label in CONTROLS or uses_attribute(records):
        return []
    gain, excess = (
        column(records, field).mean() - column(reference, field).mean()
        for field in ("balanced_accuracy", "abs_mu")
    )
    within = gain >= -ACCURACY_GAP and excess <= BIAS_GAP
    return [label, f"{gain:+.3f}", f"{excess:+.3f}", yes(within)]


def group_tables(by_label: ByLabel) -> list[Section]:
    """Return by-group tables of the first network: the base and the methods in ``DETAILED``."""
    header = ["group", "n", "base rate", "selection rate", "95 %", "TPR", "FPR", "PPV", "calibration error"]
    text = ["Calibration error: mean score of the base network minus the base rate."]
    tables = []
    for label in [label for label in by_label if label in DETAILED]:
        first = min(by_label[label], key=lambda record: record["seed"])
        title = f"By group: {label}, {first['group'].rpartition('/')[0]}, network {first['seed']}"
        tables.append(Section(title, text, [header, *(group_row(row) for row in first["by_group"])]))
    return tables


def group_row(row: Mapping[str, Any]) -> list[str]:
    """Return the figures of one group of people as text."""
    flag = " (few: unreliable)" if row["small"] else ""
    return [
        row["group"] + flag,
        str(row["n"]),
        *(f"{row[name]:.3f}" for name in ("base_rate", "selection_rate")),
        f"[{row['selection_low']:.3f}, {row['selection_high']:.3f}]",
        *(f"{row[name]:.3f}" for name in ("tpr", "fpr", "ppv")),
        f"{row['calibration_error']:+.3f}",
    ]


def model_card(record: Record) -> Section:
    """Return the model card: data, attribute, possible harm and uncertainty."""
    coding = record["coding"]
    labels = ", ".join(f"{name}: 1 = {meaning}" for name, meaning in coding.items() if name != "protected")
    text = [
        f"Data: {record['table']}; {labels}. Protected: {coding['protected']}.",
        "Real tables describe real people and are for research on methods and tests only.",
        "Who may be harmed: whoever is denied the favorable decision wrongly; a smaller gap on average does "
        "not say that any one person is judged rightly, nor that groups which were not looked at are.",
        "Attribute needed at prediction: by post-processors always; by weight-changing methods only as an "
        "input of the network, where it is one.",
        "Uncertain: labels may carry the bias themselves; small groups have wide intervals; new people may "
        "differ from these.",
    ]
    return Section("Model card", text)
