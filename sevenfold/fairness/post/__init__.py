"""Post-processors: they see scores and need the attribute at prediction; the table is in the package.

Each has ``fit(scores, y, a, objective)`` and ``predict_proba(scores, a)``; scores are probabilities of the
favorable label, and what is predicted is the probability of deciding 1, so that expected rates are exact.
"""
