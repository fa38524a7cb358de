"""Exact landscapes of enumerated spaces: hill climbing from every architecture."""
