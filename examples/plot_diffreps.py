"""Sampling representations: sine networks of digits
==================================================

The prior is a mixture of Gaussians fitted to digits, so that its denoiser and the likelihood of every sample
are exact. We draw the parameters of sine networks from it by the pullback (Savani, Finzi and Kolter 2024) and
by score distillation (SDS; Poole et al. 2022), and images by the image sampler, all from the same noise.
"""

import matplotlib.pyplot as plt

from sevenfold.diffreps import SDS, Pool, Pullback, Reference, Siren, gmm, make_task
from sevenfold.diffreps.run import run
from sevenfold.diffreps.scores import log_likelihood, pairwise, psnr

prior = gmm()
task = make_task(Siren(), prior, Pool(), seeds=range(8))
methods = {
    "image sampler": Reference(),
    "pullback": Pullback(final_solves=5),
    "SDS": SDS(count=400),
}
outcomes = {name: run(method, task) for name, method in methods.items()}
reference = outcomes["image sampler"].images
for name, outcome in outcomes.items():
    images = outcome.images[:, 0]
    near = psnr(images, reference[:, 0], 2.0).clamp(max=99).mean()
    likelihood = log_likelihood(prior, images)["log_likelihood"].mean()
    print(
        f"{name:14} {outcome.calls:4} calls, {near:5.1f} dB to the image sampler, "
        f"distance between samples {pairwise(images):.2f}, log-likelihood {likelihood:.0f}"
    )

# %%
# The pullback follows the image sampler. SDS draws new noise in every step, so that its average drift is
# deterministic: its samples are modes, nearly the same from every start.

figure, axes = plt.subplots(3, 8, figsize=(9, 3.6), layout="constrained")
for row, (name, outcome) in zip(axes, outcomes.items(), strict=True):
    for ax, image in zip(row, outcome.images[:, 0, 0], strict=True):
        ax.imshow(image, cmap="gray", vmin=-1, vmax=1)
        ax.set(xticks=[], yticks=[])
    row[0].set_ylabel(name)
figure.suptitle("Samples of digits from the same noise in a column")
plt.show()

# %%
# Where a representation cannot render every image, the law of samples depends on the procedure. Under a
# Gaussian prior, and with a line of renderable images, their variance follows without sampling: only rounds
# of resampling with a second-order step approach the prior restricted to that line.

from sevenfold.diffreps.linear_gaussian import Line, sampled_covariance
from sevenfold.diffreps.methods.plan import Rounds

line, rounds = Line(), [0, 1, 2, 5]
levels = {"name": "karras", "levels": 40, "sigma_min": 1e-3, "sigma_max": 200.0}
figure, ax = plt.subplots(figsize=(6.5, 3.4), layout="constrained")
for order in ("euler", "heun"):
    variances = []
    for count in rounds:
        method = Pullback(
            schedule=levels,
            order=order,
            solver={"name": "dense", "damping": 0.0},
            start="drawn",
            resampling=Rounds(rounds=count),
        )
        variances.append(float(sampled_covariance(method, line.task())))
    ax.plot(rounds, variances, "o-", label=order)
for name, value in {
    "sampled, then fitted": line.marginal(),
    "pullback, limit without rounds": line.split(),
    "prior on the line": line.conditional(),
}.items():
    ax.axhline(value, color="gray", linestyle="--", linewidth=1)
    ax.annotate(name, (rounds[-1], value), ha="right", va="bottom", fontsize=8)
ax.set(xlabel="rounds of resampling", ylabel="variance along the line", ylim=(0.3, 1.4))
ax.legend()
plt.show()
