"""COMPAS (ProPublica 2016): defendants in Broward County, Florida.

The file's label 1, re-offended, is unfavorable; here 1 = did not re-offend.
"""

import csv

import numpy as np

from sevenfold.fairness.data.table import Table, assemble, read_lines

SHA256 = "7e71a42b38fa06ad10b3f7894b629ce0bde351ebc529d21ab95f1b3a70a330d5"
CODING = {
    "y": "did not re-offend within two years",
    "race": "Caucasian",
    "sex": "female",
}


class Compas:
    """The COMPAS table, 6,167 rows of 401 features, filtered as ProPublica did, charge descriptions one-hot.

    Args:
        root: folder of the files.
    """

    def __init__(self, *, root: str = "data") -> None:
        self.root = root

    def load(self) -> Table:
        """Read the file."""
        lines = read_lines(self.root, "compas-two-years-deidentified.csv", SHA256)
        rows = [row for row in csv.DictReader(lines) if _is_in_sample(row)]
        columns = {key: np.array([row[key] for row in rows]) for key in rows[0]}
        return assemble(
            "compas",
            columns,
            numeric=["age", "juv_fel_count", "juv_misd_count", "juv_other_count", "priors_count"],
            categorical=["age_cat", "c_charge_degree", "c_charge_desc"],
            attributes={
                "race": (columns["race"] == "Caucasian").astype(np.int64),
                "sex": (columns["sex"] == "Female").astype(np.int64),
            },
            # the file's label is unfavorable; with it, reject option and calibration invert decisions
            y=1 - columns["two_year_recid"].astype(np.int64),
            coding=CODING,
        )


def _is_in_sample(row: dict[str, str]) -> bool:
    # ProPublica's filter: charges within 30 days of the screening, a known outcome, no traffic offenses.
    days = row["days_b_screening_arrest"]
    return (
        days != ""
        and abs(float(days)) <= 30
        and row["is_recid"] != "-1"
        and row["c_charge_degree"] != "O"
        and row["score_text"] not in ("", "N/A")
        and row["c_charge_desc"] != ""
    )
