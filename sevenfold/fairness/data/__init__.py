"""Tables of people: published data sets, CSV files of the user, and a generator with known fair labels.

``SOURCES`` lists them by name; each has ``load() -> Table``.
"""

from sevenfold.tables import ComponentTable

SOURCES = ComponentTable(
    {
        "adult": "sevenfold.fairness.data.adult:Adult",
        "bank": "sevenfold.fairness.data.bank:Bank",
        "compas": "sevenfold.fairness.data.compas:Compas",
        "csv": "sevenfold.fairness.data.csv_table:CsvTable",
        "synthetic": "sevenfold.fairness.data.synthetic:Synthetic",
    },
    holds="tables of people",
)
