"""Students of the Open University (Kuzilek, Hlosta and Zdrahal 2017): who passes a course."""

import numpy as np

from sevenfold.fairness.data.table import Table, assemble, read_columns

SHA256 = "79da53cda30ae6fbe069c6bfd8d6d36f3235ca13e06954ba4fc78f1124d6eeac"
CATEGORICAL = ["code_module", "code_presentation", "region", "highest_education", "imd_band", "age_band"]


class Oulad:
    """The OULAD table, 21,562 students; favorable is to pass.

    Attributes are gender (M as privileged), disability (N), region, ``imd_band`` (ten bands of deprivation)
    and ``age_band``.

    Args:
        root: folder of the file.
    """

    def __init__(self, *, root: str = "data") -> None:
        self.root = root

    def load(self) -> Table:
        """Read the file."""
        columns = read_columns(self.root, "oulad_clean.csv", SHA256)
        return assemble(
            "oulad",
            columns,
            numeric=["num_of_prev_attempts", "studied_credits"],
            categorical=CATEGORICAL,
            attributes={
                "gender": (columns["gender"] == "M").astype(np.int64),
                "disability": (columns["disability"] == "N").astype(np.int64),
            },
            y=(columns["final_result"] == "Pass").astype(np.int64),
            coding={"y": "passed", "gender": "M", "disability": "none declared"},
            people={n: columns[n] for n in ("gender", "disability", "region", "imd_band", "age_band")},
        )
