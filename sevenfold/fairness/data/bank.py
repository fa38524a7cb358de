"""Bank Marketing (Moro, Cortez, Rita 2014): who subscribes to a deposit after a call."""

import csv
from typing import Literal

import numpy as np

from sevenfold.fairness.data.table import Table, assemble, read_lines

SHA256 = "74adfc578bf77a7ff4bb1ba4a9f8709d9e3c6907342959c2c8416847e0afb4d8"
NUMERIC = ["duration", "campaign", "pdays", "previous", "emp.var.rate", "cons.price.idx", "cons.conf.idx",
           "euribor3m", "nr.employed"]  # fmt: skip
CATEGORICAL = ["job", "marital", "education", "default", "housing", "loan", "contact", "month",
               "day_of_week", "poutcome"]  # fmt: skip


class Bank:
    """The Bank Marketing table, 30,488 rows of 57 features, without rows with ``unknown``.

    Age is a feature only as the 0/1 attribute.

    Args:
        root: the folder of the file.
        privileged: ``25+`` (the paper's time), or ``25-59`` (aif360 since 2023).
        drop_duration: leave out the length of the call, which is known only after the outcome.
    """

    def __init__(
        self, *, root: str = "data", privileged: Literal["25+", "25-59"] = "25+", drop_duration: bool = False
    ) -> None:
        self.root, self.privileged, self.drop_duration = root, privileged, drop_duration

    def load(self) -> Table:
        """Read the file."""
        lines = read_lines(self.root, "bank-additional-full.csv", SHA256)
        rows = [row for row in csv.DictReader(lines, delimiter=";") if "unknown" not in row.values()]
        columns = {key: np.array([row[key] for row in rows]) for key in rows[0]}
        age = columns["age"].astype(int)
        # Both definitions are in use: 25 and older in the paper, 25 to 59 in aif360 since 2023.
        privileged = (age >= 25) & ((age < 60) | (self.privileged == "25+"))
        return assemble(
            "bank",
            columns,
            numeric=NUMERIC[1:] if self.drop_duration else NUMERIC,
            categorical=CATEGORICAL,
            attributes={"age": privileged.astype(np.int64)},
            y=(columns["y"] == "yes").astype(np.int64),
            coding={"y": "subscribed to the deposit", "age": f"aged {self.privileged}"},
        )
