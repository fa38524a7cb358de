"""All studies, by the name a configuration calls them."""

from sevenfold.diffreps.studies import STUDIES as DIFFREPS
from sevenfold.fairness.studies import STUDIES as FAIRNESS
from sevenfold.nas.studies import STUDIES as NAS

STUDIES: dict[str, str] = {**NAS, **FAIRNESS, **DIFFREPS}
