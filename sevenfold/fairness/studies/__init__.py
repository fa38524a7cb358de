"""Studies of debiasing by name."""

from sevenfold.tables import ComponentTable

STUDIES = ComponentTable(
    {
        "debias": "sevenfold.fairness.studies.debias:DebiasStudy",
        "initial_conditions": "sevenfold.fairness.studies.initial_conditions:InitialStudy",
    },
    holds="studies of debiasing",
)
