"""A prior-fitted network for learning curves: trained once on drawn curves, a posterior in one pass."""
