"""
Learning curves: a density of the end from few known curves
===========================================================

A network that was trained once on drawn curves gives the density of a training's end from any number of whole
curves, here ten of the built-in table of 5,425 networks on digits.
"""

import matplotlib.pyplot as plt
import numpy as np

import sevenfold
from sevenfold.nas import load_benchmark
from sevenfold.nas.lce.tables import curve_table

table = curve_table(load_benchmark("digits-nb201"))
order = np.random.default_rng(0).permutation(len(table.curves))
known, asked = order[:10], order[10:40]

# %%
# After 4 and after 10 of 20 epochs: the bar is the middle 80 % of the density of the end, the dot its median,
# the cross the truth. More of a curve makes the bar shorter.

figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), sharey=True, layout="constrained")
for place, seen in zip(axes, (4, 10), strict=True):
    model = sevenfold.load("nas/curve-pfn")
    model.fit(table.curves[known], None, seen=seen, end=table.epochs, stream=np.random.default_rng(0))
    density = model.density(table.seen(asked, seen))
    low, middle, high = (density.quantile(p) for p in (0.1, 0.5, 0.9))
    for number in range(5):
        color, curve = f"C{number}", table.curves[asked[number]]
        place.plot(range(1, seen + 1), curve[:seen], color=color)
        at = table.epochs + 0.5 * number
        place.plot([at, at], [low[number], high[number]], color=color, linewidth=3, alpha=0.5)
        place.plot(at, middle[number], "o", color=color)
        place.plot(at, curve[-1], "x", color="black", zorder=3)
    place.set(
        xlabel="epoch (the ends, at 20, are drawn side by side)",
        title=f"seen for {seen} of {table.epochs} epochs",
    )
    truth = table.curves[asked, -1]
    print(seen, "epochs seen: in the middle 80 %:", np.mean((low <= truth) & (truth <= high)).round(2))
axes[0].set_ylabel("validation accuracy, %")
plt.show()
