"""
A layer with one solution whatever its weights are: digits
==========================================================

A monotone operator network classifies handwritten digits. Every row of a batch is solved apart, and the
record says how each solve ended.
"""

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_digits
from torch.nn.functional import cross_entropy

from sevenfold.deq import MonotoneMLP

torch.manual_seed(0)
digits = load_digits()
images = torch.tensor(digits.data, dtype=torch.float32) / 16
labels = torch.tensor(digits.target)
order = torch.randperm(len(images))
train, test = order[:1200], order[1200:]

layer, head = MonotoneMLP(features=40, inputs=64, stop={"tol": 1e-4}), torch.nn.Linear(40, 10)
optimizer = torch.optim.Adam([*layer.parameters(), *head.parameters()], lr=3e-3)
losses = []
for _ in range(15):
    for rows in train[torch.randperm(len(train))].split(100):
        z, record = layer(images[rows])
        loss = cross_entropy(head(z), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())

# %%
# How it did, and how the solves of the test rows ended.

with torch.no_grad():
    z, record = layer(images[test])
    answers = head(z).argmax(1)
wrong = (answers != labels[test]).nonzero()[:, 0]
print(f"test accuracy {1 - len(wrong) / len(test):.3f}; solves: {record.counts()}")
print(f"evaluations of the map: {record.steps.float().mean():.1f} a row, {record.steps.max()} at most")

figure, (left, right) = plt.subplots(1, 2, figsize=(7, 2.8), layout="constrained")
left.plot(losses)
left.set(xlabel="training step", ylabel="cross-entropy", yscale="log", title="training")
right.semilogy(record.trace_rel[:, :40].numpy(), color="C0", alpha=0.4)
right.set(xlabel="evaluation", ylabel="relative residual", title="40 test rows")
