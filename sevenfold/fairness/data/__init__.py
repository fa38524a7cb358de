"""Tables of people: real ones from a folder, one's own, and a generator with known fair labels.

Sources by the name a configuration calls them; each has ``load() -> Table``.
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
