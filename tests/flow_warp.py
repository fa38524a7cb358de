"""Pictures warped by flow, for tests: bicubic sampling."""

import torch
from torch.nn.functional import grid_sample


def warp(picture, flow):
    """Sample a picture (C, H, W) at each pixel plus flow."""
    _, height, width = picture.shape
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    x, y = 2 * (x + flow[0]) / (width - 1) - 1, 2 * (y + flow[1]) / (height - 1) - 1
    return grid_sample(picture[None], torch.stack([x, y], dim=-1)[None], mode="bicubic", align_corners=True)[
        0
    ]
