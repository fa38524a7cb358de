"""Layers whose map is part of them: networks that are solved, with what makes the solution exist."""
