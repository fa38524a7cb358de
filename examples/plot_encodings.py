"""
Encodings: what a predictor can learn from the same networks
============================================================

An ensemble of small perceptrons learns the error of 100 cells and ranks 500 others (White, Neiswanger,
Nolen and Savani 2020, the subroutine *train predictor*), from integer codes, one-hot codes and paths.
"""

import tempfile

import matplotlib.pyplot as plt
import numpy as np

from sevenfold.nas import EncodingStudy

encodings = ["adj", "adj_onehot", "path", "trunc_path"]
study = EncodingStudy(encodings=encodings, train=[25, 50, 100], test=500, seeds=3)
records = study.run_all(tempfile.mkdtemp())
print(study.report(records))

# %%
# Integer codes say that "3x3 convolution" lies between "1x1 convolution" and "pooling"; one-hot codes and
# paths do not.

figure, axes = plt.subplots(figsize=(7, 3.4), layout="constrained")
for encoding in encodings:
    sizes = [25, 50, 100]
    taus = [[r["kendall"] for r in records if r["group"] == f"{encoding}/{size}"] for size in sizes]
    axes.errorbar(sizes, np.mean(taus, axis=1), np.std(taus, axis=1), marker="o", capsize=3, label=encoding)
axes.set(xlabel="training cells", ylabel="Kendall's tau on unseen cells", ylim=(0, 1))
axes.legend()
figure.suptitle("Rank correlation by encoding")
plt.show()
