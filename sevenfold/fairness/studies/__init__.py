"""Studies of debiasing by name."""

from sevenfold.tables import ComponentTable

STUDIES = ComponentTable(
    {
        "audit": "sevenfold.fairness.studies.own_rows:AuditStudy",
        "debias": "sevenfold.fairness.studies.debias:DebiasStudy",
        "decisions": "sevenfold.fairness.studies.own_rows:DecisionsStudy",
        "initial_conditions": "sevenfold.fairness.studies.initial_conditions:InitialStudy",
    },
    holds="studies of debiasing",
)
