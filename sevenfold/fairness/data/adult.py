"""Adult Census Income (Kohavi and Becker, from the US census of 1994)."""

import numpy as np

from sevenfold.fairness.data.table import Table, assemble, read_lines

FILES = {
    "adult.test": "a2a9044bc167a35b2361efbabec64e89d69ce82d9790d2980119aac5fd7e9c05",
    "adult.data": "5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d",
}
COLUMNS = ("age", "workclass", "fnlwgt", "education", "education-num", "marital-status", "occupation",
           "relationship", "race", "sex", "capital-gain", "capital-loss", "hours-per-week", "native-country",
           "income")  # fmt: skip


class Adult:
    """The Adult table, 45,222 rows of 98 features, without rows with ``?`` and the weight ``fnlwgt``.

    Rows of the test file precede those of the training file.

    Args:
        root: folder of the files.
    """

    def __init__(self, *, root: str = "data") -> None:
        self.root = root

    def load(self) -> Table:
        """Read both files."""
        # The order of the files matters for bit-equal splits: rows are permuted by their numbers.
        lines = [line for name, sha in FILES.items() for line in read_lines(self.root, name, sha)]
        rows = [[v.strip() for v in line.split(",")] for line in lines if line.count(",") == 14]
        rows = [row for row in rows if "?" not in row]
        columns = dict(zip(COLUMNS, np.array(rows).T, strict=True))
        return assemble(
            "adult",
            columns,
            numeric=["age", "education-num", "capital-gain", "capital-loss", "hours-per-week"],
            categorical=["workclass", "education", "marital-status", "occupation", "relationship",
                         "native-country"],
            attributes={
                "sex": (columns["sex"] == "Male").astype(np.int64),
                "race": (columns["race"] == "White").astype(np.int64),
            },
            y=np.char.startswith(columns["income"], ">50K").astype(np.int64),
            coding={"y": "income above 50,000 dollars", "sex": "male", "race": "white"},
        )  # fmt: skip
