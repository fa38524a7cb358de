"""Debiasing: what a bound on the bias costs
=========================================

A network is trained on synthetic people whose recorded labels put the unprivileged group at a disadvantage,
and whose fair labels are known. Then its bias (statistical parity difference, SPD) is bounded on validation
people: by another threshold, by noise in the weights (Savani, White and Govindarajulu 2020), or by a rank-one
edit of the first layer. No method sees the test people.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

from sevenfold.fairness import Debiaser
from sevenfold.fairness.confusion import counts
from sevenfold.fairness.data.synthetic import Synthetic
from sevenfold.fairness.data.table import split_table
from sevenfold.fairness.measures import bias, performance
from sevenfold.fairness.training import Training, new_network, train_copies

split = split_table(Synthetic(n=10_000).load(), "a", seed=0)
train, val, test = split.train, split.val, split.test
network = new_network(train.x.shape[1], 0, width=32, depth=2, dropout=0.2)
training = Training(max_epochs=30, patience=8, batch_size=128)
(network,) = train_copies([network], [(train.x, train.y)], [(val.x, val.y)], training, [0])


def judge(decisions, labels):
    """Return SPD and balanced accuracy of decisions about the test people."""
    table = counts(torch.as_tensor(decisions), labels, test.a)
    return float(bias("spd", table)), float(performance("balanced_accuracy", table))


base = Debiaser(network, method="base").fit(val.x, val.y, sensitive_features=val.a)
spd, accuracy = judge(base.predict(test.x), test.y)
print(f"the network as it is: balanced accuracy {accuracy:.3f}, SPD {spd:+.3f}")

# %%
# Each method searches once for every bound. On the left, its decisions about the test people: further left is
# fairer, further up is more accurate. On the right, the same decisions against the labels that people would
# have had without bias: there a smaller gap is not a cost, because the recorded labels themselves are biased.

METHODS = {
    "threshold_only": {},
    "random": {"trials": 101, "scope": "all", "sigmas": [0.1]},
    "rank_one": {},
}
bounds = np.geomspace(0.02, 0.3, 9)
figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained", sharex=True)
for name, options in METHODS.items():
    for ax, labels in zip(axes, (test.y, test.truth), strict=True):
        points = []
        for epsilon in bounds:
            debiaser = Debiaser(network, method=name, method_options=options, epsilon=epsilon, margin=0.0)
            debiaser.fit(val.x, val.y, sensitive_features=val.a)
            points.append(judge(debiaser.predict(test.x), labels))
        gap, accuracy = np.abs(points).T
        ax.plot(gap, accuracy, "o-", label=name, markersize=4)
for ax, labels, title in zip(axes, (test.y, test.truth), ("recorded labels", "fair labels"), strict=True):
    spd, accuracy = judge(base.predict(test.x), labels)
    ax.plot(abs(spd), accuracy, "k*", markersize=10, label="unchanged")
    ax.axhline(0.5, color="gray", linestyle="--", linewidth=1)
    ax.set(xlabel="|SPD| on test", ylabel="balanced accuracy on test", title=title)
    ax.grid(alpha=0.3)
axes[0].legend(fontsize=8)
figure.suptitle("A bound on the bias, met in three ways")
plt.show()

# %%
# After ``fit`` the module gives a number above 0 for the favorable decision; no attribute is needed.

debiaser = Debiaser(network, epsilon=0.05).fit(val.x, val.y, sensitive_features=val.a)
print(type(debiaser.module_).__name__, debiaser.verdict_.text, debiaser.flags_ or "no flags")
