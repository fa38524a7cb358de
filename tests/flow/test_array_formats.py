import warnings

import numpy as np
import pytest
import torch

from sevenfold.errors import InputError
from sevenfold.flow import read_flow, write_flow
from sevenfold.flow.formats.flo5 import read_flo5


def field():
    flow = torch.randn(2, 6, 9, generator=torch.Generator().manual_seed(0)) * 30
    valid = torch.rand(6, 9, generator=torch.Generator().manual_seed(1)) > 0.2
    return flow, valid


@pytest.mark.parametrize("suffix", ["npy", "npz", "flo5", "flo", "pfm"])
def test_round_trips_are_exact(tmp_path, suffix):
    if suffix == "flo5":
        pytest.importorskip("h5py")
    flow, valid = field()
    write_flow(tmp_path / f"a.{suffix}", flow, valid)
    read, known = read_flow(tmp_path / f"a.{suffix}")
    assert torch.equal(known, valid) and torch.equal(read, torch.where(valid, flow, 0.0))


def test_every_second_value_is_not_scaled(tmp_path):
    pytest.importorskip("h5py")
    flow, _ = field()
    write_flow(tmp_path / "a.flo5", flow)
    read, _ = read_flo5(tmp_path / "a.flo5", every=2)
    assert torch.equal(read, flow[:, ::2, ::2])


def test_both_orders_of_axes_and_both_names(tmp_path):
    flow, valid = field()
    np.save(tmp_path / "last.npy", flow.permute(1, 2, 0).numpy())
    np.savez(tmp_path / "uv.npz", u=flow[0].numpy(), v=flow[1].numpy(), valid=valid.numpy())
    assert torch.equal(read_flow(tmp_path / "last.npy")[0], flow)
    read, known = read_flow(tmp_path / "uv.npz")
    assert torch.equal(known, valid) and torch.equal(read[:, valid], flow[:, valid])


def test_a_mask_beside_the_flow_hides_pixels(tmp_path):
    flow, _ = field()
    mask = np.zeros((6, 9), np.uint8)
    mask[2] = 100
    np.save(tmp_path / "000_001_flow.npy", flow.permute(1, 2, 0).numpy())
    np.save(tmp_path / "000_001_mask.npy", mask)
    _, known = read_flow(tmp_path / "000_001_flow.npy")
    assert torch.equal(known, torch.from_numpy(mask == 0))


def test_objects_are_never_opened(tmp_path):
    class Trap:
        def __reduce__(self):
            return (exec, ("raise SystemExit",))

    np.savez(tmp_path / "a.npz", flow=np.array([Trap()], dtype=object))
    np.save(tmp_path / "a.npy", np.array([Trap()], dtype=object), allow_pickle=True)
    for name in ("a.npz", "a.npy"):
        with pytest.raises((InputError, ValueError), match="a.np|allow_pickle"):
            read_flow(tmp_path / name)


@pytest.mark.parametrize("array", [np.zeros((4, 5)), np.zeros((4, 5, 3)), np.zeros((4, 5, 2), bool)])
def test_what_is_no_flow_is_refused(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(InputError, match="a.npy: flow is"):
        read_flow(tmp_path / "a.npy")


def test_kitti_files_are_not_clipped_in_silence(tmp_path):
    flow, valid = field()
    flow[0, 0, 0], valid[0, 0] = 600.0, True
    with pytest.raises(InputError, match="1 pixels move by 512 px or more"):
        write_flow(tmp_path / "a.png", flow, valid)
    assert not (tmp_path / "a.png").exists()
    with pytest.warns(UserWarning, match="1 pixels move .*: clipped"):
        write_flow(tmp_path / "a.png", flow, valid, clip=True)
    valid[0, 0] = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_flow(tmp_path / "a.png", flow, valid)


def test_comments_of_a_pfm_are_passed_over(tmp_path):
    flow, _ = field()
    write_flow(tmp_path / "a.pfm", flow)
    content = (tmp_path / "a.pfm").read_bytes().replace(b"PF\n", b"PF\n# made by hand\n", 1)
    (tmp_path / "a.pfm").write_bytes(content)
    assert torch.equal(read_flow(tmp_path / "a.pfm")[0], flow)
