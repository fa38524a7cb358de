"""
NAS-Bench-x11: whole learning curves without training
=====================================================

A surrogate is fitted to the curves of some networks of ``digits-nb201`` and draws those of others, with the
noise of training (Yan, White, Savani and Hutter 2021): compression of curves, regression of the
coefficients, a model of noise.
"""

import matplotlib.pyplot as plt
import numpy as np

from sevenfold.nas import load_benchmark
from sevenfold.nas.x11.ensemble import Ensemble
from sevenfold.nas.x11.surrogate import Surrogate
from sevenfold.nas.x11.tensor import curve_tensor, split_rows
from sevenfold.seeding import numpy_generator

table = curve_tensor(load_benchmark("digits-nb201"), ["val/acc"])
train, test = split_rows(table, 2000, by="class", seed_stream=numpy_generator(0, "split"))
ensemble = Ensemble(
    table.space,
    encoding="adj_onehot",
    metrics=table.metrics,
    epochs=table.epochs,
    compression={"name": "svd", "k": 6},
    regressor={"name": "lgb"},
    members=3,
)
surrogate = Surrogate(ensemble, noise={"name": "window"})
surrogate.fit(table.part(train))

# %%
# Three networks that no member has seen: their real trainings, the predicted mean, and the band of noisy
# draws.

unseen = table.part(test)
mean = surrogate.curves(unseen.archs)[:, :, 0]
order = np.argsort(unseen.means()[:, -1, 0])
rows = order[[len(order) // 4, len(order) // 2, -len(order) // 20]]
figure, axes = plt.subplots(1, 4, figsize=(12, 3), layout="constrained", width_ratios=(1, 1, 1, 1.1))
epochs = np.arange(1, table.epochs + 1)
for place, row in zip(axes, rows, strict=False):
    archs = np.repeat(unseen.archs[row][None], 200, axis=0)
    draws = surrogate.curves(archs, seeds=range(200))[:, :, 0]
    place.fill_between(epochs, *np.percentile(draws, [10, 90], axis=0), alpha=0.25, label="draws, 10 to 90 %")
    place.plot(epochs, unseen.values[row, :, :, 0].T, color="black", linewidth=0.7)
    place.plot([], [], color="black", linewidth=0.7, label="three trainings")
    place.plot(epochs, mean[row], linewidth=2, label="predicted mean")
    place.set(xlabel="epoch", ylim=(0, 100))
axes[0].set_ylabel("validation accuracy, %")
axes[0].legend(fontsize=7, loc="lower right")
axes[3].plot(unseen.means()[:, -1, 0], mean[:, -1], ".", markersize=2, alpha=0.3)
axes[3].plot([0, 100], [0, 100], color="gray", linewidth=0.8)
axes[3].set(xlabel="true final accuracy, %", ylabel="predicted, %")
figure.suptitle("Learning curves of networks that the surrogate has not seen")
plt.show()
