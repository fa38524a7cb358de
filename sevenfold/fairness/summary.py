"""From records of trials to sections of a report: what was unfair, what was done, what it cost, what is
unsure.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sevenfold.fairness import POSTPROCESSORS

Records = list[dict[str, Any]]
CONTROLS = ("base", "constant", "threshold_only")
WORDS = {
    "spd": "the share of people who get the favorable decision (SPD)",
    "eod": "the share of deserving people who get the favorable decision (EOD)",
    "aod": "the rates of right and wrong favorable decisions, averaged (AOD)",
    "aaod": "the rates of right and wrong favorable decisions, absolute gaps averaged",
    "eqodds": "the rates of right or wrong favorable decisions, whichever differs more",
}
REFERENCE = "reject_option"
ACCURACY_GAP, BIAS_GAP = 0.03, 0.01


def groups(records: Records) -> dict[str, dict[str, Records]]:
    """Return records by setting (``table-attribute-with/measure@bound``) and label."""
    found: dict[str, dict[str, Records]] = {}
    for record in records:
        setting, _, label = record["group"].rpartition("/")
        record["uses_attribute"] = record["method"] in POSTPROCESSORS
        found.setdefault(setting, {}).setdefault(label, []).append(record)
    return found


def column(records: Records, name: str) -> NDArray[np.float64]:
    """Return one figure of records, ordered by seed."""
    ordered = sorted(records, key=lambda record: record["seed"])
    return np.array([record[name] for record in ordered], float)


def spread(values: NDArray[np.float64]) -> str:
    """Return mean and standard deviation as text; values that are not defined are counted apart."""
    known = values[~np.isnan(values)]
    if not len(known):
        return "undefined"
    text = f"{known.mean():.3f}" + (f" ± {known.std(ddof=1):.3f}" if len(known) > 1 else "")
    return text + (f" ({len(values) - len(known)} undefined)" if len(known) < len(values) else "")


def sections(records: Records) -> list[dict[str, Any]]:
    """Return all sections: an introduction, one table per setting and measure, by-group tables, a model
    card.
    """
    found, card = groups(records), []
    for setting, by_label in found.items():
        card += [story(setting, by_label), table(setting, by_label)]
    last = list(found.values())[0]
    return [introduction(records), *card, *group_tables(last), model_card(records)]


def introduction(records: Records) -> dict[str, Any]:
    """Say how to read the page."""
    seeds = len({record["seed"] for record in records})
    text = [
        "A classifier decides 1 (favorable) or 0 for every person. Bias is the rate in the unprivileged "
        "group minus "
        "the rate in the privileged one: 0 is even-handed, negative means that the unprivileged get less.",
        "Balanced accuracy is the mean of the shares of right decisions among those who should get 1 "
        "and those who "
        "should get 0; 0.5 is what treating everybody alike gives.",
        f"All figures are of test people whom no method has seen, as mean ± standard deviation over "
        f"{seeds} trained "
        "networks. Tuning and threshold saw validation people only. 'Within' counts networks whose bias "
        "on test "
        "is inside the bound. A bias that only just meets it on validation will often break it on test: "
        "that is sampling error, and the intervals say how large it is.",
    ]
    return {"title": "How to read this", "text": text, "rows": []}


def story(setting: str, by_label: dict[str, Records]) -> dict[str, Any]:
    """Say in words what was unfair and what helped."""
    place, _, objective = setting.partition("/")
    measure, _, bound = objective.partition("@")
    text = []
    if "base" in by_label:
        mu, se = column(by_label["base"], "mu"), column(by_label["base"], "standard_error")
        who = "less" if mu.mean() < 0 else "more"
        text.append(
            f"What was unfair: {WORDS[measure]} differs by {mu.mean():+.3f} between the groups (the "
            f"unprivileged "
            f"get {who}; sampling error of one network's figure about {np.nanmean(se):.3f})."
        )
    candidates = {
        label: own
        for label, own in by_label.items()
        if label not in CONTROLS and column(own, "abs_mu").mean() < float(bound)
    }
    if candidates and "base" in by_label:
        best = max(candidates, key=lambda label: column(candidates[label], "balanced_accuracy").mean())
        cost = column(by_label["base"], "balanced_accuracy").mean()
        cost -= column(by_label[best], "balanced_accuracy").mean()
        note = "needs" if by_label[best][0]["uses_attribute"] else "does not need"
        text.append(
            f"Of the methods whose mean |bias| is within {bound}, {best} keeps most: it costs "
            f"{cost:.3f} of balanced "
            f"accuracy and {note} the attribute at prediction. It was picked after the fact from "
            f"{len(candidates)}, so its figure flatters it a little."
        )
    elif not candidates:
        text.append(f"No method's mean |bias| on test is within {bound} here: the constraint is not met.")
    seen = place.endswith("-with")
    text.append(
        "The protected attribute is among the network's inputs: methods that change weights may use it."
        if seen
        else "The protected attribute is not among the inputs; only post-processors see it."
    )
    return {"title": f"{place}: {measure.upper()} within {bound}", "text": text, "rows": []}


def table(setting: str, by_label: dict[str, Records]) -> dict[str, Any]:
    """Return the comparison of methods, with what holds of the acceptance check."""
    header = ["method", "balanced accuracy", "bias", "|bias|", "within", "95 % of a network's bias",
              "against threshold only", "uses attribute", "holds"]  # fmt: skip
    fair = any("fair_label_balanced_accuracy" in own[0] for own in by_label.values())
    rows = [header + (["on the fair labels"] if fair else [])]
    for label, own in by_label.items():
        low, high = column(own, "mu_low").mean(), column(own, "mu_high").mean()
        row = [
            label,
            spread(column(own, "balanced_accuracy")),
            spread(column(own, "mu")),
            spread(column(own, "abs_mu")),
            f"{int(np.nansum(column(own, 'within')))}/{len(own)}",
            f"[{low:+.3f}, {high:+.3f}]",
            paired(own, by_label.get("threshold_only")),
            "yes" if own[0]["uses_attribute"] else "no",
            verdict(label, by_label),
        ]
        rows.append(row + ([spread(column(own, "fair_label_balanced_accuracy"))] if fair else []))
    text = [
        f"'Holds': mean balanced accuracy at least {REFERENCE}'s - {ACCURACY_GAP} and mean |bias| at "
        f"most its "
        f"+ {BIAS_GAP}, on test; a miss is given. 'Against threshold only': mean difference of balanced "
        f"accuracy "
        "with its 95 % interval from paired networks (their splits overlap, so it is somewhat narrow). "
        "'95 %': bootstrap within cells of one test set, mean of the ends.",
    ]
    networks = by_label.get("base", [{}])
    if "auc" in networks[0]:
        text.append(
            f"Base networks: test AUC {spread(column(networks, 'auc'))}; "
            f"logistic regression on the same rows {spread(column(networks, 'logistic_auc'))}."
        )
    return {"title": f"{setting}: methods", "text": text, "rows": rows}


def paired(own: Records, control: Records | None) -> str:
    """Return the mean paired difference of balanced accuracy with its 95 % interval."""
    if control is None or len(own) != len(control):
        return "-"
    difference = column(own, "balanced_accuracy") - column(control, "balanced_accuracy")
    if len(difference) < 2:
        return f"{difference.mean():+.3f}"
    from scipy.stats import t

    half = t.ppf(0.975, len(difference) - 1) * difference.std(ddof=1) / math.sqrt(len(difference))
    return f"{difference.mean():+.3f} ± {half:.3f}"


def verdict(label: str, by_label: dict[str, Records]) -> str:
    """Tell whether a weight-changing method holds the acceptance check against the reject option."""
    own, reference = by_label[label], by_label.get(REFERENCE)
    if reference is None or label in CONTROLS or own[0]["uses_attribute"]:
        return "-"
    short = column(reference, "balanced_accuracy").mean() - column(own, "balanced_accuracy").mean()
    over = column(own, "abs_mu").mean() - column(reference, "abs_mu").mean()
    misses = [f"accuracy {short:.3f} short"] if short > ACCURACY_GAP else []
    misses += [f"|bias| {over:.3f} over"] if over > BIAS_GAP else []
    return "yes" if not misses else "no: " + ", ".join(misses)


def group_tables(by_label: dict[str, Records]) -> list[dict[str, Any]]:
    """Return by-group tables of the first network: the base and each method."""
    header = ["group", "n", "base rate", "selection rate", "95 %", "TPR", "FPR", "PPV", "calibration error"]
    found = []
    for label, own in by_label.items():
        first = min(own, key=lambda record: record["seed"])
        if label not in ("base", "reject_option", "rank_one"):
            continue
        rows: list[Sequence[str]] = [header]
        for row in first["by_group"]:
            cells = [f"{row[name]:.3f}" for name in ("base_rate", "selection_rate")]
            cells += [f"[{row['selection_low']:.3f}, {row['selection_high']:.3f}]"]
            cells += [f"{row[name]:.3f}" for name in ("tpr", "fpr", "ppv")] + [
                f"{row['calibration_error']:+.3f}"
            ]
            flag = " (few: unreliable)" if row["small"] else ""
            rows.append([row["group"] + flag, str(row["n"]), *cells])
        title = f"By group: {label}, {first['group'].rpartition('/')[0]}, network {first['seed']}"
        text = ["Calibration error: mean score of the base network minus the base rate."]
        found.append({"title": title, "text": text, "rows": rows})
    return found


def model_card(records: Records) -> dict[str, Any]:
    """Return what a user of such a model must know."""
    coding = records[0]["coding"]
    said = ", ".join(f"{name}: 1 = {what}" for name, what in coding.items() if name not in ("protected",))
    text = [
        f"Data: {records[0]['table']}; {said}. Protected: {coding['protected']}.",
        "Real tables describe real people and are for research on methods and tests only.",
        "Who may be harmed: whoever is denied the favorable decision wrongly; a smaller gap on average "
        "does not "
        "say that any one person is judged rightly, nor that groups which were not looked at are.",
        "Attribute needed at prediction: by post-processors always; by weight-changing methods only as "
        "an input "
        "of the network, where it is one.",
        "Uncertain: labels may carry the bias themselves; small groups have wide intervals; new people "
        "may differ "
        "from these.",
    ]
    return {"title": "Model card", "text": text, "rows": []}
