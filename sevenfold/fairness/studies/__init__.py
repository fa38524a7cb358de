"""Studies of debiasing, by the name a configuration calls them."""

STUDIES: dict[str, str] = {}
