"""
Landscapes in colour: the denoiser in the package as a prior
============================================================

A class-conditional denoiser of drawn landscapes, 1.4 million parameters, comes with the package. Samples of
its eight kinds, and panoramas: canvases three screens long that close on themselves, whose every crop is a
sample.
"""

import matplotlib.pyplot as plt

from sevenfold.diffreps.guidance import Guidance
from sevenfold.diffreps.methods.pullback import Pullback
from sevenfold.diffreps.methods.reference import Reference
from sevenfold.diffreps.priors.shipped import shipped
from sevenfold.diffreps.representations.panorama import WideCanvas
from sevenfold.diffreps.representations.pixels import Pixels
from sevenfold.diffreps.run import run
from sevenfold.diffreps.sampling_task import make_task
from sevenfold.diffreps.scapes import KINDS
from sevenfold.diffreps.view_noise import Anchored, Pool

prior = shipped()
schedule = {"name": "karras", "levels": 16, "sigma_min": 0.02, "sigma_max": 80.0}
guidance = Guidance(weight=1.5, clip=True)

task = make_task(Pixels(size=32, channels=3), prior, Pool(), seeds=range(8), labels=range(8))
samples = run(Reference(schedule=schedule, guidance=guidance, order="heun"), task).images[:, 0]

# %%
# Noise is anchored to the canvas, so that overlapping crops see the same noise at the same place.

canvas = WideCanvas(size=32, channels=3, length=96, wrap=True)
task = make_task(canvas, prior, Anchored(), seeds=range(2), labels=[0, 2], views=12)
method = Pullback(schedule=schedule, solver={"name": "cg", "damping": 0.0}, guidance=guidance)
rings = run(method, task).theta.view(2, 3, 32, 96)

figure, axes = plt.subplots(2, 8, figsize=(10, 2.9), layout="constrained")
for place, kind, image in zip(axes[0], KINDS, samples, strict=True):
    place.imshow((image / 2 + 0.5).clamp(0, 1).permute(1, 2, 0))
    place.set_title(kind, fontsize=9)
for place in axes.flat:
    place.axis("off")
for number, name in enumerate(("noon", "sunset")):
    wide = figure.add_subplot(axes[1, 0].get_gridspec()[1, 4 * number : 4 * number + 4])
    wide.imshow((rings[number] / 2 + 0.5).clamp(0, 1).permute(1, 2, 0))
    wide.set_title(f"a ring of three screens: {name}", fontsize=9)
    wide.axis("off")
plt.show()
