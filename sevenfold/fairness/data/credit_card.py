"""Default of credit card clients in Taiwan (Yeh and Lien 2009): who pays in the next month."""

import numpy as np

from sevenfold.fairness.data.table import Table, assemble, read_columns

SHA256 = "7cfc3bb35b6986be40cccb5d490806f082b46f93afafdce27fd7f409eb5abb02"
NUMERIC = ["LIMIT_BAL", "AGE", "PAY_0", *(f"PAY_{i}" for i in range(2, 7)),
           *(f"BILL_AMT{i}" for i in range(1, 7)), *(f"PAY_AMT{i}" for i in range(1, 7))]  # fmt: skip
EDUCATION = {"1": "graduate school", "2": "university", "3": "high school"}
MARRIAGE = {"1": "married", "2": "single"}


class CreditCard:
    """The Credit card table, 30,000 clients; favorable is no default.

    Attributes are sex (men as privileged), education (four groups) and marriage (three); the last two are
    one-hot features.

    Args:
        root: folder of the file.
    """

    def __init__(self, *, root: str = "data") -> None:
        self.root = root

    def load(self) -> Table:
        """Read the file."""
        columns = read_columns(self.root, "credit-card-clients.csv", SHA256)
        # undocumented codes (0, 4, 5 and 6 of education) are one group
        columns["education"] = np.array([EDUCATION.get(v, "other") for v in columns["EDUCATION"]])
        columns["marriage"] = np.array([MARRIAGE.get(v, "other") for v in columns["MARRIAGE"]])
        men = columns["SEX"] == "1"
        people = {"sex": np.where(men, "men", "women")}
        people |= {name: columns[name] for name in ("education", "marriage")}
        return assemble(
            "credit_card",
            columns,
            numeric=NUMERIC,
            categorical=["education", "marriage"],
            attributes={"sex": men.astype(np.int64)},
            y=(columns["default payment"] == "0").astype(np.int64),
            coding={"y": "no default in the next month", "sex": "men"},
            people=people,
        )
