"""Studies of differentiable representations, by the name a configuration calls them."""

STUDIES: dict[str, str] = {}
