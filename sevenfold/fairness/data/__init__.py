"""Tables of people: real ones from a folder, one's own, and a generator with known fair labels.

Sources by the name a configuration calls them; each has ``load() -> Table``.
"""

SOURCES: dict[str, str] = {
    "adult": "sevenfold.fairness.data.adult:Adult",
    "bank": "sevenfold.fairness.data.bank:Bank",
    "compas": "sevenfold.fairness.data.compas:Compas",
    "csv": "sevenfold.fairness.data.own:Own",
    "synthetic": "sevenfold.fairness.data.synthetic:Synthetic",
}
