"""
DEQ optical flow: a fixed point in place of a fixed number of steps
===================================================================

The estimator that ``make run`` trains for minutes is in the package. Its update is iterated until the flow
stops changing; how many steps that takes is decided by the solver, not by the training.
"""

import matplotlib.pyplot as plt
import torch

import sevenfold
from datamodules.flow.synthetic import SyntheticFlow
from sevenfold.flow import flow_colors

model = sevenfold.load("flow/demo")
data = SyntheticFlow()
data.setup("test")
batch = next(iter(data.test_dataloader()))
image1, image2, truth = batch["image1"][:1], batch["image2"][:1], batch["flow"][:1]

# %%
# The error of one pair after 1 to 48 evaluations of the update, from one model, and what the solver sees:
# the relative residual :math:`|f(z) - z| / |f(z)|`.

steps = [1, 2, 4, 8, 16, 24, 48]
errors = []
for count in steps:
    flow = model.estimate(image1, image2, iterations=count)
    errors.append(torch.linalg.vector_norm(flow - truth, dim=1).mean().item())
zero = torch.linalg.vector_norm(truth, dim=1).mean().item()

figure, axes = plt.subplots(1, 4, figsize=(11, 2.9), layout="constrained")
radius = torch.linalg.vector_norm(truth, dim=1).max().item()
pictures = [image1[0], flow_colors(flow[0], radius=radius), flow_colors(truth[0], radius=radius)]
titles = ["first frame", f"estimate, {errors[-1]:.1f} px off", f"truth, up to {radius:.0f} px"]
for place, picture, title in zip(axes, pictures, titles, strict=False):
    place.imshow(picture.permute(1, 2, 0))
    place.set_title(title, fontsize=9)
    place.axis("off")
axes[3].semilogx(steps, errors, "o-", base=2, label="equilibrium model")
axes[3].axhline(zero, color="gray", linestyle="--", label="zero flow")
axes[3].set(xlabel="evaluations of the update", ylabel="end-point error, px", ylim=(0, None))
axes[3].legend(fontsize=8)
plt.show()
