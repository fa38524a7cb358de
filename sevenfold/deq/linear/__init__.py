"""Methods for the linear system of an equilibrium's gradient, y = J^T y + g, row by row of the batch."""
