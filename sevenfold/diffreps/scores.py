"""Scores of samples: against reference images, as a set against real images, and under the prior.

Features are those of a small classifier trained here: distances on them are no Inception FID or KID and
comparable within one run only.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from sevenfold.diffreps.priors.base import Condition, ExactPrior, Prior
from sevenfold.diffreps.sources import Images
from sevenfold.seeding import torch_generator

HELD_OUT = 0.2


class Classifier:
    """A classifier with layers of 64 and 32 units, trained on four fifths of labeled images.

    ``accuracy`` is measured on the other fifth; features are the 32 units.
    """

    def __init__(self, real: Images, *, seed: int = 0) -> None:
        from sklearn.neural_network import MLPClassifier

        order = torch.randperm(len(real.images), generator=torch_generator(seed, "classifier split"))
        cut = int(HELD_OUT * len(order))
        flat, labels = real.images.flatten(1).numpy(), real.labels.numpy()
        mlp = MLPClassifier((64, 32), alpha=1e-3, max_iter=300, random_state=seed)
        mlp.fit(flat[order[cut:]], labels[order[cut:]])
        self.accuracy = float(mlp.score(flat[order[:cut]], labels[order[:cut]]))
        self.weights = [torch.as_tensor(w.T).float() for w in mlp.coefs_]
        self.biases = [torch.as_tensor(b).float() for b in mlp.intercepts_]
        if len(self.biases[-1]) == 1:  # for two classes scikit-learn has only the second one's logit
            self.weights[-1], self.biases[-1] = (
                torch.cat([torch.zeros_like(v), v]) for v in (self.weights[-1], self.biases[-1])
            )

    def features(self, images: Tensor) -> Tensor:
        """Return features (N, 32) of images (N, C, H, W)."""
        x = images.float().flatten(1)
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            x = nn.functional.relu(nn.functional.linear(x, weight, bias))
        return x

    def probabilities(self, features: Tensor) -> Tensor:
        """Return the classes' probabilities (N, classes)."""
        return nn.functional.linear(features, self.weights[-1], self.biases[-1]).softmax(1)


class Scorer:
    """Scores of samples by a classifier of real images and by the prior."""

    def __init__(self, real: Images, prior: Prior, *, most: int = 1000) -> None:
        self.classifier, self.prior = Classifier(real), prior
        subset = torch.randperm(len(real.images), generator=torch_generator(0, "real subset"))[:most]
        self.images = real.images[subset]

    def columns(self, images: Tensor, classes: Tensor) -> dict[str, Tensor]:
        """Return the scores of each image (N, C, H, W), drawn from ``classes`` (N,).

        They are features, probabilities, confidence, the predicted class, whether it is the requested class,
        and the log-likelihood.
        """
        features = self.classifier.features(images)
        probabilities = self.classifier.probabilities(features)
        confidence, predicted = probabilities.max(1)
        scores = {
            "features": features,
            "probabilities": probabilities,
            "confidence": confidence,
            "predicted": predicted,
        }
        if bool((classes >= 0).all()):
            scores["correct"] = (predicted == classes.cpu()).float()
        return scores | log_likelihood(self.prior, images)

    def real(self) -> dict[str, Any]:
        """Return the same scores of real images, for comparison."""
        none = torch.full((len(self.images),), -1)
        return {
            **self.columns(self.images, none),
            "images": self.images,
            "accuracy": self.classifier.accuracy,
        }


def log_likelihood(prior: Prior, images: Tensor) -> dict[str, Tensor]:
    """Return the log-density of images under an exact prior; an empty mapping for other priors.

    It must be compared with that of real images: a much higher value means mode seeking.
    """
    if not isinstance(prior, ExactPrior):
        return {}
    like = next(prior.buffers())
    condition = Condition(torch.full((len(images),), -1, device=like.device))
    clean = torch.zeros(len(images), dtype=like.dtype, device=like.device)
    return {"log_likelihood": prior.log_prob(images.to(like), clean, condition).cpu()}


def psnr(images: Tensor, reference: Tensor, span: float) -> Tensor:
    """Return the peak signal-to-noise ratio (N,) in dB of images (N, ...) whose values span ``span``."""
    error = (images - reference).square().flatten(1).mean(1)
    return 10 * torch.log10(span**2 / error.clamp(min=1e-20))


def ssim(images: Tensor, reference: Tensor, span: float) -> Tensor:
    """Return structural similarity (N,) of images (N, C, H, W), with a window of at most 7 pixels.

    Wang, Bovik, Sheikh & Simoncelli 2004.
    """
    from torchmetrics.functional.image import structural_similarity_index_measure

    window = min(7, *(side - 1 + side % 2 for side in images.shape[-2:]))
    similarity = structural_similarity_index_measure(
        images.float(), reference.float(), gaussian_kernel=False, kernel_size=window,
        data_range=span, reduction="none",
    )  # fmt: skip
    return similarity[0] if isinstance(similarity, tuple) else similarity


def entropy(probabilities: Tensor) -> float:
    """Return the normalized entropy of the mean class prediction (N, classes): 1 if all are equal."""
    mean = probabilities.double().mean(0)
    return float(-(mean * mean.clamp(min=1e-12).log()).sum() / math.log(len(mean)))


def pairwise(images: Tensor) -> float:
    """Return the mean distance between two different images."""
    if len(images) < 2:
        return math.nan
    return float(torch.pdist(images.flatten(1).double()).mean())


def energy(one: Tensor, two: Tensor) -> float:
    """Return the energy distance of samples (N, ...) and (M, ...): 0 in the mean where their laws are equal.

    Example:
        >>> energy(torch.zeros(2, 1), torch.tensor([[3.0], [4.0]]))
        6.0
    """
    # 2 E|X - Y| - E|X - X'| - E|Y - Y'|   (Szekely & Rizzo 2013, eq. 6), unbiased within each set
    first, second = one.flatten(1).double(), two.flatten(1).double()
    return float(
        2 * torch.cdist(first, second).mean() - torch.pdist(first).mean() - torch.pdist(second).mean()
    )


def frechet(one: Tensor, two: Tensor) -> float:
    """Return the Frechet distance of Gaussians fitted to features (N, F) and (M, F)."""
    # |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2))   (Heusel et al. 2017), by the symmetric root of C1
    means = [v.double().mean(0) for v in (one, two)]
    covariances = [torch.cov(v.double().T) for v in (one, two)]
    values, vectors = torch.linalg.eigh(covariances[0])
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    cross = torch.linalg.eigvalsh(root @ covariances[1] @ root).clamp(min=0).sqrt().sum()
    traces = covariances[0].trace() + covariances[1].trace()
    return float((means[0] - means[1]).square().sum() + traces - 2 * cross)


def kid(one: Tensor, two: Tensor) -> float:
    """Return the unbiased squared MMD of features with the kernel (x.y / F + 1)^3."""
    # k(x, y) = (x^T y / d + 1)^3   (Binkowski et al. 2018)
    one, two, size = one.double(), two.double(), one.shape[1]
    n, m = len(one), len(two)

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        return (x @ y.T / size + 1) ** 3

    first, second = kernel(one, one), kernel(two, two)
    within = (first.sum() - first.trace()) / (n * (n - 1)) + (second.sum() - second.trace()) / (m * (m - 1))
    return float(within - 2 * kernel(one, two).mean())


def set_scores(samples: dict[str, Any], real: dict[str, Any]) -> dict[str, float]:
    """Return the scores of samples as a set.

    They are class entropy, mean distance between samples relative to that of real images, and distances of
    their features to those of real images.
    """
    scores = {
        "entropy": entropy(samples["probabilities"]),
        "pairwise": pairwise(samples["images"]) / pairwise(real["images"]),
    }
    if len(samples["features"]) > 1:
        scores["frechet_local"] = frechet(samples["features"], real["features"])
        scores["kid_local"] = kid(samples["features"], real["features"])
    return scores
