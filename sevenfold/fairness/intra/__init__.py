"""Methods that change a trained network's weights, using validation rows alone."""
