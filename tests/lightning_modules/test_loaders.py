"""Plain loaders of one's own: tuples and mappings of NumPy and torch, to fit, to test and to predict."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import library
import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from lightning_modules.denoiser import DenoiserTrainer
from lightning_modules.flow import FlowModule
from lightning_modules.nas_predictor import NASPredictor
from lightning_modules.tabular import ImageClassifier, TabularClassifier
from lightning_modules.x11 import CurveSurrogate
from sevenfold.errors import InputError
from sevenfold.nas.spaces.nb201 import NB201

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers",
    "ignore:.*number of training batches",
    "ignore:.*but have no `val_dataloader`",
)
STREAM = np.random.default_rng(3)


def loader(items: Sequence[Any], batch_size: int = 2) -> DataLoader:
    return DataLoader(items, batch_size=batch_size)  # type: ignore[arg-type]


@pytest.fixture
def trainer(tmp_path: Path) -> pl.Trainer:
    return library.trainer(tmp_path)


FIRST, SECOND = library.FRAMES[:, :48, :64]
FIELD = STREAM.normal(size=(48, 64, 2))  # channels last, float64
FLOATS = torch.from_numpy(FIRST).permute(2, 0, 1) / 255


@pytest.mark.parametrize(
    "item",
    [
        (FIRST, SECOND, FIELD),
        (FIRST, SECOND, FIELD, np.ones((48, 64), bool)),
        {"image1": FLOATS, "image2": FLOATS.double(), "flow": torch.from_numpy(FIELD).permute(2, 0, 1)},
        {"image1": FIRST, "image2": SECOND, "flow": np.where(FIELD > 1, np.nan, FIELD)},
    ],
)
def test_flow_is_fitted_tested_and_predicted(item: Any, trainer: pl.Trainer) -> None:
    module, _ = library.parts("flow")
    trainer.fit(module, loader([item] * 4), loader([item]))
    assert torch.isfinite(trainer.callback_metrics["train/loss"])
    trainer.test(module, loader([item] * 3), verbose=False)
    logged = trainer.callback_metrics
    assert {"test/own/epe", "test/own/000000/epe", "test/own/000002/epe"} <= set(logged)
    pairs = item[:2] if isinstance(item, tuple) else {key: item[key] for key in ("image1", "image2")}
    found = trainer.predict(module, loader([pairs] * 3))
    assert found is not None and [part["flow"].shape[0] for part in found] == [2, 1]
    wanted = module.estimate(*(pairs if isinstance(pairs, tuple) else pairs.values()))
    torch.testing.assert_close(found[1]["flow"], wanted)


def test_unknown_pixels_do_not_count(trainer: pl.Trainer) -> None:
    module, _ = library.parts("flow")
    field = np.full_like(FIELD, np.nan)
    field[:4] = 0
    trainer.test(module, loader([(FIRST, SECOND, field)]), verbose=False)
    error = module.estimate(FIRST, SECOND)[0, :, :4].norm(dim=0).mean()
    torch.testing.assert_close(trainer.callback_metrics["test/own/epe"], error, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ((FIRST, SECOND), "needs 'flow'"),
        ({"image1": FIRST, "flow": FIELD}, r"mapping with these keys, got \['flow', 'image1'\]"),
        ((FIRST, SECOND, FIELD[:40]), "flow must be as large as its images"),
        ((FIRST, SECOND, FIELD[..., :1]), "flow: expected 2 channels"),
        ((FIRST.astype(float), SECOND, FIELD), "image1: floats must lie in .0, 1."),
    ],
)
def test_what_is_no_batch_of_flow_is_one_line(item: Any, words: str, trainer: pl.Trainer) -> None:
    with pytest.raises(InputError, match=words):
        trainer.test(library.parts("flow")[0], loader([item]), verbose=False)


ROWS = STREAM.normal(size=(64, 7))
PEOPLE = [(x, int(x[0] > 0), int(x[1] > 0)) for x in ROWS]  # float64 and plain integers


@pytest.mark.parametrize("validated", [False, True])
def test_rows_build_the_network_from_the_first_batch(validated: bool, trainer: pl.Trainer) -> None:
    module = TabularClassifier(width=8, depth=1)
    trainer.fit(module, loader(PEOPLE, 16), *([loader(PEOPLE, 64)] if validated else []))
    assert module.network is not None
    trainer.test(module, loader(PEOPLE, 64), verbose=False)
    assert torch.isfinite(trainer.callback_metrics["test/balanced_accuracy"])
    decisions = module.decide(ROWS)
    for items in (ROWS, [(x,) for x in ROWS], PEOPLE, [{"x": x} for x in ROWS], ROWS.astype(np.float32)):
        found = trainer.predict(module, loader(items, 16))
        assert found is not None and torch.equal(torch.cat(found), decisions)


def test_rows_of_pandas_and_lists_are_decided_alike(trainer: pl.Trainer) -> None:
    module = TabularClassifier(width=8, depth=1)
    with pytest.raises(InputError, match="has no network yet: train it"):
        module.decide(ROWS)
    trainer.fit(module, loader(PEOPLE, 16), loader(PEOPLE, 64))
    decisions = module.decide(ROWS)
    assert decisions.dtype == torch.int64 and set(decisions.tolist()) <= {0, 1}
    table = pd.DataFrame(ROWS, columns=list("abcdefg"))
    for values in (table, table.astype({"a": "float32"}), ROWS.tolist(), torch.from_numpy(ROWS)):
        assert torch.equal(module.decide(values), decisions)
    assert torch.equal(module.decide(table.iloc[3]), decisions[3:4])
    for values, words in (
        (table.assign(a="x"), "rows: expected numbers, .* .columns a."),
        (table.drop(columns="a"), r"rows: expected rows of shape \(n, 7\), got shape \(64, 6\)"),
        (table.mask(table > 1), "values are not finite"),
        ([[1.0], [1.0, 2.0]], "expected numbers in a regular array"),
    ):
        with pytest.raises(InputError, match=words):
            module.decide(values)


def test_wrong_labels_and_groups_are_one_line(trainer: pl.Trainer) -> None:
    for item, words in (
        ((ROWS[0], 2, 0), "y: expected 0 and 1, got"),
        ((ROWS[0], 1, "man"), "a: groups by name need privileged="),
        ((ROWS[0], 1), "is .x, y, a.: inputs, labels, groups; got 2 parts"),
    ):
        with pytest.raises(InputError, match=words):
            trainer.test(TabularClassifier(width=8, depth=1), loader([item]), verbose=False)


def test_pictures_are_classified(trainer: pl.Trainer) -> None:
    module, pictures = ImageClassifier(), library.FRAMES[0, :32, :32]
    items = [(np.roll(pictures, k, 0), k % 2, k // 2 % 2) for k in range(8)]
    trainer.fit(module, loader(items, 4), loader(items, 8))
    found = trainer.predict(module, loader([x for x, _, _ in items], 4))
    assert found is not None and torch.equal(
        torch.cat(found), module.decide(np.stack([x for x, _, _ in items]))
    )
    floats = torch.from_numpy(np.stack([x for x, _, _ in items])).permute(0, 3, 1, 2) / 255
    assert torch.equal(module.decide(floats), torch.cat(found))


SPACE = NB201()
ARCHS = SPACE.sample(np.random.default_rng(0), 24)
TARGETS = STREAM.uniform(5, 40, 24)


@pytest.mark.parametrize("cells", [ARCHS, SPACE.to_strings(ARCHS)], ids=["codes", "strings"])
def test_predictors_take_cells_as_codes_and_strings(cells: Any, trainer: pl.Trainer) -> None:
    module, _ = library.parts("nas_predictor")
    pairs = list(zip(cells, TARGETS, strict=True))
    trainer.fit(module, loader(pairs, 8), loader(pairs, 24))
    trainer.test(module, loader([{"archs": a, "targets": t} for a, t in pairs], 24), verbose=False)
    assert torch.isfinite(trainer.callback_metrics["test/mae"])
    errors = module.predict(cells)
    found = trainer.predict(module, loader(list(cells), 8))
    assert found is not None
    torch.testing.assert_close(torch.cat(found), errors)
    torch.testing.assert_close(module.predict(pd.DataFrame(ARCHS)), errors)
    torch.testing.assert_close(module.predict(cells[0]), errors[:1])
    torch.testing.assert_close(module.eval()(module._encoded(torch.from_numpy(ARCHS))), errors)


def test_what_is_no_cell_is_one_line(trainer: pl.Trainer) -> None:
    module, _ = library.parts("nas_predictor")
    for cells, words in (
        ("|nor_conv_3x3~0|", "nor_conv"),
        (ARCHS[:, :5], "NB201 needs integer architectures"),
        (ARCHS + 0.5, "codes of architectures are whole numbers"),
        (ARCHS + 9, "24 rows are no architectures of NB201, the first is row 0"),
    ):
        with pytest.raises(InputError, match=words):
            module.predict(cells)
    for item, words in (
        (ARCHS[0], "is .archs, targets."),
        ((ARCHS[0], np.nan), "targets: 2 values are not fin"),
    ):
        with pytest.raises(InputError, match=words):
            trainer.test(module, loader([item] * 2), verbose=False)


def test_curves_are_predicted_for_cells_of_a_plain_loader(trainer: pl.Trainer) -> None:
    module, data = library.parts("curve_surrogate")
    with pytest.raises(InputError, match="has not been trained"):
        module.predict(library.CELLS)
    trainer.fit(module, datamodule=data)
    curves = module.predict(library.CELLS)
    assert curves.shape == (4, 20, 1)
    found = trainer.predict(module, loader(library.CELLS))
    assert found is not None and torch.equal(torch.cat(found), curves)
    with pytest.raises(InputError, match="has one model of noise"):
        module.predict(library.CELLS, noise="gauss")
    assert isinstance(module, CurveSurrogate)


def test_a_study_of_noise_answers_by_label(trainer: pl.Trainer) -> None:
    module, data = library.parts("noise_study")
    trainer.fit(module, datamodule=data)
    seeds = [1, 2, 3, 4]
    assert not torch.equal(
        module.predict(library.CELLS, noise="gauss", seeds=seeds),
        module.predict(library.CELLS, noise="vae", seeds=seeds),
    )
    with pytest.raises(InputError, match="has no model of noise 'vea'. Did you mean 'vae'|'vea': Did"):
        module.predict(library.CELLS, noise="vea")


DIGITS = STREAM.uniform(0, 1, (24, 1, 8, 8))


@pytest.mark.parametrize(
    ("images", "bounds"),
    [(DIGITS, (0.0, 1.0)), (2 * DIGITS - 1, (-1.0, 1.0)), ((255 * DIGITS).astype(np.uint8), (0.0, 1.0))],
    ids=["floats", "around zero", "bytes"],
)
def test_a_denoiser_learns_from_images_alone(images: Any, bounds: Any, trainer: pl.Trainer) -> None:
    pytest.importorskip("diffusers")
    module, _ = library.parts("denoiser_trainer")
    assert isinstance(module, DenoiserTrainer)
    trainer.fit(module, loader(images, 8), loader([(image, 3) for image in images], 8))
    assert module.picture is not None and (module.picture.shape, module.picture.range) == ((1, 8, 8), bounds)
    trainer.test(module, loader(images, 8), verbose=False)
    assert module.sample(2, seed=1).shape == (2, 1, 8, 8)
    noisy = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    clean = module(noisy, 0.5, [1, 2, 3, -1])
    found = trainer.predict(
        module, loader([(z, 0.5, label) for z, label in zip(noisy, [1, 2, 3, -1], strict=True)], 4)
    )
    assert found is not None
    torch.testing.assert_close(found[0], clean)
    with pytest.raises(InputError, match="sample.. draws images"):
        trainer.predict(module, loader(images, 8))


def test_images_of_another_range_are_one_line(trainer: pl.Trainer) -> None:
    pytest.importorskip("diffusers")
    with pytest.raises(InputError, match="images lie between 0 and .*: bring them to"):
        trainer.fit(library.parts("denoiser_trainer")[0], loader(9 * DIGITS * (DIGITS > 0.5), 8))


def test_batches_of_the_suite_pass_untouched(tmp_path: Path) -> None:
    module, data = library.parts("flow")
    batch = next(iter(data.val_dataloader()))
    module.trainer = library.trainer(tmp_path)
    assert isinstance(module, FlowModule) and module.convert_batch(batch) is batch
    predictor, cells = library.parts("nas_predictor")
    batch = next(iter(cells.val_dataloader()))
    predictor.trainer = module.trainer
    assert isinstance(predictor, NASPredictor) and predictor.convert_batch(batch) is batch
