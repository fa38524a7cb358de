import torch

from sevenfold.flow.synthetic.textures import power_diagrams, texture_bank


def test_bank_depends_on_the_seed_alone():
    torch.manual_seed(1)
    first = texture_bank.__wrapped__(0, count=3, size=32)
    torch.manual_seed(2)
    assert torch.equal(first, texture_bank.__wrapped__(0, count=3, size=32))
    assert not torch.equal(first, texture_bank.__wrapped__(1, count=3, size=32))


def test_textures_vary():
    bank = texture_bank.__wrapped__(0, count=12, size=64)
    assert bank.shape == (12, 1, 64, 64) and bank.isfinite().all()
    assert bank.abs().max() <= 1 and bank.mean(dim=(1, 2, 3)).abs().max() < 0.3
    assert bank.std(dim=(1, 2, 3)).min() > 0.3
    correlation = torch.corrcoef(bank.flatten(1)) - torch.eye(12)
    assert correlation.abs().max() < 0.6


def test_power_diagram_against_all_sites():
    """Far from a border a pixel has exactly the gray of the site with the least power distance."""
    size, cells = 24, 5
    picture = power_diagrams(1, size, cells, torch.Generator().manual_seed(0))[0]
    generator = torch.Generator().manual_seed(0)
    sites = size * torch.rand(1, cells, 2, generator=generator)[0]
    weights = size**2 / cells * torch.rand(1, cells, 1, generator=generator)[0, :, 0]
    grays = torch.randn(1, cells, generator=generator)[0]
    exact = 0
    for y in range(size):
        for x in range(size):
            power = (torch.tensor([x + 0.5, y + 0.5]) - sites).square().sum(dim=1) - weights
            exact += bool((picture[y, x] - grays[power.argmin()]).abs() < 1e-6)
            assert grays.min() <= picture[y, x] <= grays.max()
    assert exact > 0.6 * size**2
