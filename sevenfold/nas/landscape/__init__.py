"""The landscape of a listed space: what hill climbing from every architecture comes to, exactly."""
