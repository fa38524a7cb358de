"""Search a cell, its width, activation and learning rate on digits; run it again to go on."""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F

from sevenfold.nas import open_problem

EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
ACTIVATIONS = {"relu": nn.ReLU, "silu": nn.SiLU, "tanh": nn.Tanh}
PARAMETERS = {"cell": {"cell": "nb201"}, "activation": {"choice": list(ACTIVATIONS)},
              "width": {"ordinal": [4, 8, 16]}, "lr": {"float": [0.01, 1.0], "log": True}}  # fmt: skip


def operation(code, width, activation):
    if code in (1, 4):
        return nn.Identity() if code == 1 else nn.AvgPool2d(3, 1, 1)
    convolution = nn.Conv2d(width, width, 2 * code - 3, padding=code - 2, bias=False)  # 2: 1x1, 3: 3x3
    return nn.Sequential(activation(), convolution, nn.BatchNorm2d(width))


class Network(nn.Module):
    def __init__(self, cell, width, activation):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, width, 3, padding=1, bias=False), nn.BatchNorm2d(width))
        self.edges = nn.ModuleDict({str(e): operation(c, width, activation) for e, c in enumerate(cell) if c})
        self.norm, self.head = nn.Sequential(nn.BatchNorm2d(width), activation()), nn.Linear(width, 10)

    def forward(self, images):
        nodes = [self.stem(images)]
        for target in (1, 2, 3):
            into = [(str(e), start) for e, (start, end) in enumerate(EDGES) if end == target]
            parts = [self.edges[e](nodes[start]) for e, start in into if e in self.edges]
            nodes.append(sum(parts, torch.zeros_like(nodes[0])))
        return self.head(self.norm(nodes[3]).mean((2, 3)))


def train(config, trial):
    digits, order = load_digits(), torch.randperm(1797, generator=torch.Generator().manual_seed(0))
    images, labels = torch.tensor(digits.images).float()[order, None] / 16, torch.tensor(digits.target)[order]
    torch.manual_seed(trial.seed)
    network = Network(config["cell"], config["width"], ACTIVATIONS[config["activation"]])
    optimizer = torch.optim.SGD(network.parameters(), momentum=0.9, nesterov=True, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config["lr"], total_steps=12 * trial.epochs)
    for _ in range(trial.epochs):
        for rows in torch.randperm(600).split(50):
            optimizer.zero_grad()
            F.cross_entropy(network.train()(images[rows]), labels[rows]).backward()
            optimizer.step(), schedule.step()
        wrong = network.eval()(images[600:1200]).argmax(1) != labels[600:1200]
        yield {"val_error": 100 * wrong.double().mean()}


if __name__ == "__main__":
    search = {"space": {"name": "typed", "parameters": PARAMETERS}, "algorithm": {"name": "local_search"}}
    options = {"minimize": "val_error", "epochs": 5, "budget": 60, "seeds": {"max": 3, "last": 0.07}}
    with open_problem("own_digits", **search, **options) as problem:
        problem.run("digits_cells:train", workers=2)
        print(*problem.best())
