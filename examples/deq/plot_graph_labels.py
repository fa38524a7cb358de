"""
A graph as one state: labels for one node in twenty
===================================================

Digits are the nodes of a graph whose edges join neighbors. The states of all nodes solve one equation
together, so that labels spread along the edges. Nodes as rows of a batch would be wrong, and are refused.
"""

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.neighbors import kneighbors_graph
from torch.nn.functional import cross_entropy

from sevenfold.deq import GraphDEQ, PreflightError, fixed_point

torch.manual_seed(0)
digits = load_digits()
x, labels = torch.tensor(digits.data, dtype=torch.float32) / 16, torch.tensor(digits.target)
edges = torch.tensor(kneighbors_graph(digits.data, 8).toarray(), dtype=torch.float32)
edges = torch.maximum(edges, edges.T)
edges = (edges / edges.sum(1, keepdim=True)).to_sparse()
known = torch.randperm(len(x))[: len(x) // 20]
hidden = torch.ones(len(x), dtype=torch.bool)
hidden[known] = False


def accuracy(logits: torch.Tensor) -> float:
    """Return the share of nodes without a label that get the right one."""
    return (logits.argmax(1) == labels)[hidden].float().mean().item()


layer, head, alone = GraphDEQ(features=32, inputs=64), torch.nn.Linear(32, 10), torch.nn.Linear(64, 10)
optimizer = torch.optim.Adam([*layer.parameters(), *head.parameters(), *alone.parameters()], lr=1e-2)
for _ in range(60):
    z, record = layer(x, edges)
    loss = cross_entropy(head(z)[known], labels[known]) + cross_entropy(alone(x)[known], labels[known])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(f"{len(known)} of {len(x)} nodes have labels; solve: {record.counts()}")
print(f"right on the others: {accuracy(head(z)):.3f} with the graph, {accuracy(alone(x)):.3f} without")

# %%
# The same map with nodes as rows: every solver would treat them apart, and the gradient would be wrong.

try:
    fixed_point(lambda z, x: torch.tanh(edges @ z + x), torch.zeros(len(x), 64), (x,))
except PreflightError as error:
    print(f"refused: {error}")

place = PCA(2).fit_transform(digits.data)
figure, axes = plt.subplots(figsize=(5, 3.6), layout="constrained")
axes.scatter(*place.T, c=head(z).argmax(1), cmap="tab10", s=6)
axes.scatter(*place[known].T, facecolors="none", edgecolors="black", s=40, label="with a label")
axes.set(xticks=[], yticks=[], title="predicted digit of every node")
axes.legend(loc="upper right")
