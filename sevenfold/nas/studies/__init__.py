"""Studies of architecture search, by the name a configuration calls them."""

STUDIES: dict[str, str] = {
    "nas_search": "sevenfold.nas.studies.search:SearchStudy",
}
