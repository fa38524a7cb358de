"""Post-processors: methods that change decisions from scores and need the attribute at prediction.

Each has ``fit(scores, y, a, objective)`` and ``predict_proba(scores, a)``; scores are probabilities of the
favorable label, and predictions are probabilities of deciding 1, so that expected rates are exact.
"""
