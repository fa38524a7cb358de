"""Studies of debiasing, by the name a configuration calls them."""

STUDIES: dict[str, str] = {
    "debias": "sevenfold.fairness.studies.debias:DebiasStudy",
    "initial_conditions": "sevenfold.fairness.studies.initial_conditions:InitialStudy",
}
