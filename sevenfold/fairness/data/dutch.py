"""The Dutch census of 2001 (Statistics Netherlands): who has a prestigious occupation."""

import numpy as np

from sevenfold.fairness.data.table import Table, assemble, read_columns

SHA256 = "c0e1df7e2ca07fa84aa99b5565c7b782a381e2fab377648a6d920174d04ce090"
CATEGORICAL = ["household_position", "household_size", "prev_residence_place", "citizenship",
               "country_birth", "edu_level", "economic_status", "cur_eco_activity",
               "marital_status"]  # fmt: skip


class Dutch:
    """The Dutch census table, 60,420 people; all but age, which is in ordered bands, is one-hot.

    Args:
        root: folder of the file.
    """

    def __init__(self, *, root: str = "data") -> None:
        self.root = root

    def load(self) -> Table:
        """Read the file."""
        columns = read_columns(self.root, "dutch.csv", SHA256)
        return assemble(
            "dutch",
            columns,
            numeric=["age"],
            categorical=CATEGORICAL,
            attributes={"sex": (columns["sex"] == "male").astype(np.int64)},
            y=(columns["occupation"] == "1").astype(np.int64),
            coding={"y": "a prestigious occupation", "sex": "male"},
            people={"sex": columns["sex"]},
        )
