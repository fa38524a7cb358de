"""Callbacks, by the name a configuration calls them."""

CALLBACKS: dict[str, str] = {
}
