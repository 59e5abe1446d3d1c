"""Masks as people have them become ids, or are refused in a line that says what was found."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tests.unit.propagation.scoring import data, score
from videomac.errors import EvaluationError
from videomac.propagation.masks import davis_palette, find_objects, read_ids


def squares(*ids):
    """Squares of 16 pixels side by side, one for each id, on background."""
    ids_hw = np.zeros((32, 24 * len(ids) + 8), np.uint16)
    for place, number in enumerate(ids):
        ids_hw[8:24, 8 + 24 * place : 24 + 24 * place] = number
    return ids_hw


def saved(path, pixels, mode=None):
    Image.fromarray(pixels, mode).save(path)
    return path


def own_clip(root, ids):
    """A clip of the generic layout whose squares lie still: every object that exists scores 1."""
    ids_hw = squares(*ids).astype(np.uint8)
    for folder in ("frames/clip", "masks/clip"):
        (root / folder).mkdir(parents=True)
    for t in range(3):
        Image.fromarray(davis_palette()[ids_hw]).save(root / f"frames/clip/{t}.png")
        Image.fromarray(ids_hw).save(root / f"masks/clip/{t}.png")
    return root


@pytest.mark.parametrize(
    ("ids", "scored"),
    [((1, 2), ["1", "2"]), ((200,), ["200"]), ((1, 3, 7), ["1", "3", "7"]), ((128, 255), ["128"]), ((255,), ["1"])],
)
def test_only_ids_that_exist_are_scored(tmp_path, ids, scored):
    result = score("masks", data(own_clip(tmp_path, ids)), "clip")
    assert list(result.parts.objects) == [f"clip_{number}" for number in scored]
    assert set(np.unique(result.prediction)) == {0, *map(int, scored)}, "predictions have the ids of the masks"


def test_no_object_scores_for_one_that_is_not_there(tmp_path):
    root = own_clip(tmp_path, (5,))
    for t in (1, 2):
        Image.fromarray(np.roll(squares(5).astype(np.uint8), 16, 1)).save(root / f"masks/clip/{t}.png")
    assert score("masks", data(root), "clip").scores["J-Mean"] < 0.5, "four empty ids would lift this above 0.8"


@pytest.mark.parametrize(
    ("ids", "note"),
    [
        ((1, 2), None),
        ((5, 9), "objects 5, 9: only ids that the first mask has are scored"),
        ((5, 255), "objects 5; 255 beside other ids is void and counts as background"),
        ((255,), "255 is the only value of the first mask beside 0: taken for the one object"),
    ],
)
def test_what_unusual_ids_were_taken_for_is_said(tmp_path, ids, note):
    path = saved(tmp_path / "m.png", squares(*ids).astype(np.uint8))
    assert find_objects(path, are_classes=False).note == note


def test_the_palette_is_that_of_davis(sample_davis):
    with Image.open(sorted((sample_davis / "Annotations/240p/dog").glob("*.png"))[0]) as image:
        colours = np.array(image.getpalette()).reshape(-1, 3)
    np.testing.assert_array_equal(davis_palette()[: min(3, len(colours))], colours[:3])
    assert davis_palette()[[1, 2, 7, 8, 255]].tolist() == [
        [128, 0, 0],
        [0, 128, 0],
        [128, 128, 128],
        [64, 0, 0],
        [224, 224, 192],
    ]


def as_files(folder):
    ids_hw = squares(1, 7)
    ids = ids_hw.astype(np.uint8)
    palette = Image.fromarray(ids)
    palette = palette.convert("P")
    palette.putdata(ids.ravel().tolist())
    palette.putpalette(davis_palette().ravel().tolist())
    opaque = np.full_like(ids, 255)
    clear = np.where(ids == 0, 0, 255).astype(np.uint8)
    return {
        "palette": palette,
        "grey": Image.fromarray(ids),
        "16 bits": Image.fromarray(ids_hw),
        "stretched to 16 bits": Image.fromarray(ids_hw * 257),
        "RGB": Image.fromarray(davis_palette()[ids]),
        "RGBA": Image.fromarray(np.dstack([davis_palette()[ids], opaque])),
        "RGBA, clear background": Image.fromarray(np.dstack([davis_palette()[np.where(ids, ids, 9)], clear])),
        "LA": Image.fromarray(np.dstack([ids, opaque])),
        "grey as RGB": Image.fromarray(np.dstack([ids] * 3)),
    }


@pytest.mark.parametrize("kind", list(as_files(None)))
def test_one_mask_in_every_mode(tmp_path, kind):
    as_files(tmp_path)[kind].save(tmp_path / "m.png")
    ids_hw = read_ids(tmp_path / "m.png", are_classes=False)
    assert ids_hw.dtype == np.uint8
    np.testing.assert_array_equal(ids_hw, squares(1, 7))


def test_a_mask_of_one_bit(tmp_path):
    Image.fromarray(squares(255).astype(np.uint8)).convert("1").save(tmp_path / "m.png")
    np.testing.assert_array_equal(read_ids(tmp_path / "m.png", False), squares(1))


def test_a_mask_is_turned_as_its_exif_says(tmp_path):
    image = Image.fromarray(squares(1, 2).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 3
    image.save(tmp_path / "m.png", exif=exif)
    np.testing.assert_array_equal(read_ids(tmp_path / "m.png", False), squares(1, 2)[::-1, ::-1])


def soft(levels=(255,)):
    mask = Image.fromarray(squares(*levels).astype(np.uint8))
    return mask.resize((mask.width * 2 + 3, mask.height * 2 + 1), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_soft_edges_are_refused(tmp_path, mode):
    soft().convert(mode).save(tmp_path / "m.png")
    with pytest.raises(EvaluationError, match=r"m\.png: soft edges: \d+ grey values \(.*threshold the masks"):
        read_ids(tmp_path / "m.png", are_classes=False)


def test_one_soft_value_beside_a_solid_255_is_refused(tmp_path):
    ids_hw = squares(255).astype(np.uint8)
    ids_hw[7, 8:24] = 128
    with pytest.raises(EvaluationError, match="soft edges: 1 grey value"):
        read_ids(saved(tmp_path / "m.png", ids_hw), are_classes=False)


def test_thin_objects_and_a_border_of_void_are_no_soft_edges(tmp_path):
    ids_hw = squares(5, 9).astype(np.uint8)
    ids_hw[7, 8:24], ids_hw[2, 3:9], ids_hw[28, 3:9] = 255, 1, 2
    np.testing.assert_array_equal(read_ids(saved(tmp_path / "m.png", ids_hw), are_classes=False), ids_hw)


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (squares(1000, 3), "label id 1000; ids are 1 to 254"),
        (davis_palette()[squares(1, 2).astype(np.uint8)] // 3, "2 of its 3 colours are not in DAVIS's palette, for"),
        (np.dstack([squares(1), squares(200) // 2]).astype(np.uint8), "half transparent; expected alpha 0"),
    ],
)
def test_what_is_no_mask_of_ids_is_named(tmp_path, pixels, message):
    with pytest.raises(EvaluationError, match=rf"m\.png: .*{message}"):
        read_ids(saved(tmp_path / "m.png", pixels), are_classes=False)


def test_a_file_that_is_no_image(tmp_path):
    (tmp_path / "m.png").write_bytes(b"<html>")
    with pytest.raises(EvaluationError, match=r"m\.png: annotation cannot be read"):
        read_ids(tmp_path / "m.png", are_classes=False)


def test_an_empty_first_mask(tmp_path):
    with pytest.raises(EvaluationError, match="only background: nothing to carry; remove the masks before"):
        find_objects(saved(tmp_path / "m.png", squares(0).astype(np.uint8)), are_classes=False)


def test_an_object_that_appears_later_is_background(tmp_path):
    root = own_clip(tmp_path, (1,))
    later = squares(1).astype(np.uint8)
    later[28:, :4] = 9
    Image.fromarray(later).save(root / "masks/clip/2.png")
    assert list(score("masks", data(root), "clip").parts.objects) == ["clip_1"]
