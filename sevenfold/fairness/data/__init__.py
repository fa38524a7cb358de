"""Tables of people: published data sets, CSV files of the user, and a generator with known fair labels.

``SOURCES`` lists them by name; each has ``load() -> Table``.
"""

from sevenfold.tables import ComponentTable

SOURCES = ComponentTable(
    {
        "adult": "sevenfold.fairness.data.adult:Adult",
        "bank": "sevenfold.fairness.data.bank:Bank",
        "compas": "sevenfold.fairness.data.compas:Compas",
        "credit_card": "sevenfold.fairness.data.credit_card:CreditCard",
        "csv": "sevenfold.fairness.data.csv_table:CsvTable",
        "dutch": "sevenfold.fairness.data.dutch:Dutch",
        "oulad": "sevenfold.fairness.data.oulad:Oulad",
        "synthetic": "sevenfold.fairness.data.synthetic:Synthetic",
    },
    holds="tables of people",
)
