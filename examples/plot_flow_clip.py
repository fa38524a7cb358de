"""
Flow of a clip: a network of minutes, the shipped model, the truth
==================================================================

``make run`` trains a small network for minutes and ends with this picture. The shipped model was trained by
``configs/flow/ship_gpu.yaml`` on drawn scenes alone; it is what ``sevenfold flow a.jpg b.jpg`` uses.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt

import sevenfold
from sevenfold.flow.showcase import draw_showcase

folder = Path(tempfile.mkdtemp())
errors = draw_showcase(sevenfold.load("flow/demo"), folder)
print({name: round(value, 2) for name, value in errors.items()})

# %%
# One scale for all, its most saturated colors in the corner; errors are means over the eleven pairs of the
# clip, in px. Beside the picture the folder has the clip's video with the shipped model's flow, the second
# picture pulled back by it, and its confidence.

picture = plt.imread(folder / "images/first.png")
figure = plt.figure(figsize=(16, 16 * picture.shape[0] / picture.shape[1]))
axes = figure.add_axes((0, 0, 1, 1))
axes.imshow(picture, interpolation="none")
axes.axis("off")
plt.show()
