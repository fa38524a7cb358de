"""Studies of debiasing, by the name a configuration calls them."""

from sevenfold.tables import ComponentTable

STUDIES = ComponentTable(
    {
        "debias": "sevenfold.fairness.studies.debias:DebiasStudy",
        "initial_conditions": "sevenfold.fairness.studies.initial_conditions:InitialStudy",
    },
    holds="studies of debiasing",
)
