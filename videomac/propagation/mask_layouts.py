"""Data sets with masks, each in its own folder layout: DAVIS, VIP, and a generic one for people's own clips."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from videomac import config
from videomac.errors import EvaluationError
from videomac.facts.media import IMAGE_SUFFIXES, VIDEO_SUFFIXES, suffix_of
from videomac.propagation.clips import MaskClip
from videomac.propagation.frames import Frames, find_frames
from videomac.storage.text_files import read_local_text


def davis_names(data: config.LabelledData) -> list[str]:
    """Return the sequences of the split: `ImageSets/2017/SPLIT.txt` (or 2016, the resolution, or none), or a text file.

    A line names a sequence or, as in DAVIS 2016, a frame and its annotation.

    Raises:
        EvaluationError: there is no such list; the message names the files that were looked for.
    """
    root = Path(data.root)
    places = [root / "ImageSets" / year / f"{data.split}.txt" for year in ("2017", "2016", data.resolution, "")]
    return chosen(data, _listed([Path(data.split), *places], f"the DAVIS split {data.split!r}"))


def davis_clip(data: config.LabelledData, name: str) -> MaskClip:
    """Return a DAVIS sequence: `JPEGImages/RESOLUTION/NAME`, `Annotations/RESOLUTION/NAME`, a mask for every frame.

    The semi-supervised protocol scores all frames except the first and the last.

    Raises:
        EvaluationError: fewer than three frames, or a frame without its annotation.
    """
    root = Path(data.root)
    frames = find_frames(root / "JPEGImages" / data.resolution / name, data.bounds)
    folder = root / "Annotations" / data.resolution / name
    found = _pngs(folder)
    masks = {t: found.get(stem, folder / f"{stem}.png") for t, stem in enumerate(frames.names)}
    absent = [masks[t] for t, stem in enumerate(frames.names) if stem not in found]
    if absent:
        raise EvaluationError(
            f"{absent[0]}: annotation missing ({len(absent)} of {len(masks)} frames of {name} have none); DAVIS scores "
            "every frame: use task=masks for clips with only some labelled frames"
        )
    if len(masks) < 3:
        raise EvaluationError(
            f"{folder}: {len(masks)} frames; the protocol leaves out the first and the last, so a clip needs 3 or more"
        )
    return MaskClip(name, frames, masks, tuple(range(1, len(masks) - 1)))


def vip_names(data: config.LabelledData) -> list[str]:
    """Return the videos of the split: `lists/SPLIT.txt` or `SPLIT_videos.txt`, a text file, else all of `Images`.

    Of each line the last part of the first word counts, so that the published lists
    (`.../Images/videos338 .../videos338`) can be used.
    """
    root = Path(data.root)
    places = [Path(data.split), root / "lists" / f"{data.split}.txt", root / "lists" / f"{data.split}_videos.txt"]
    if any(place.is_file() for place in places):
        return chosen(data, _listed(places, f"the VIP split {data.split!r}"))
    return chosen(data, _folders(root / "Images"))


def vip_clip(data: config.LabelledData, name: str) -> MaskClip:
    """Return a VIP video: `Images/NAME` and `Annotations/Category_ids/NAME`; every annotated frame is scored.

    Raises:
        EvaluationError: there are no frames, or none of them is annotated.
    """
    root = Path(data.root)
    frames = find_frames(root / "Images" / name, data.bounds)
    masks = _masks_of(frames, root / "Annotations" / "Category_ids" / name)
    return MaskClip(name, frames, masks, tuple(sorted(masks)), has_classes=True)


def own_names(data: config.LabelledData, labels: str) -> list[str]:
    """Return the clips of the generic layout: those in `lists/SPLIT.txt` or a text file, else all below `labels`."""
    root = Path(data.root)
    places = [Path(data.split), root / "lists" / f"{data.split}.txt"]
    if any(place.is_file() for place in places):
        known = _folders(root / labels) if (root / labels).is_dir() else []
        return chosen(data, _listed(places, f"the split {data.split!r}", known))
    return chosen(data, _folders(root / labels))


def own_frames(data: config.LabelledData, name: str) -> Frames:
    """Return the frames of a clip of the generic layout: `frames/NAME/` with images, or `videos/NAME.mp4`.

    Raises:
        EvaluationError: neither exists.
    """
    root = Path(data.root)
    if (root / "frames" / name).is_dir():
        return find_frames(root / "frames" / name, data.bounds)
    videos = _by_stem(root / "videos", VIDEO_SUFFIXES).get(name)
    if videos:
        return Frames((min(videos, key=lambda video: VIDEO_SUFFIXES.index(suffix_of(video.name))),), data.bounds)
    raise EvaluationError(
        f"{root}: clip {name!r} has neither frames/{name}/ nor a video videos/{name}.mp4 "
        f"(or .{', .'.join(VIDEO_SUFFIXES[1:])})"
    )


def own_mask_clip(data: config.LabelledData, name: str) -> MaskClip:
    """Return a clip of the generic layout: `masks/NAME/FRAME.png` for some frames, scored after the first of them.

    Raises:
        EvaluationError: there are no frames, or fewer than two of them are labelled.
    """
    frames = own_frames(data, name)
    masks = _masks_of(frames, Path(data.root) / "masks" / name)
    if len(masks) < 2:
        raise EvaluationError(
            f"{Path(data.root) / 'masks' / name}: 1 labelled frame; the first one is given and the others are scored: "
            "label two or more"
        )
    return MaskClip(name, frames, masks, tuple(sorted(masks))[1:])


def _masks_of(frames: Frames, folder: Path) -> dict[int, Path]:
    """Return the masks by frame: files of the same stem; in a video, of the frame's number at the stem's end."""
    by_name = _pngs(folder)
    if frames.is_video:
        by_name = _numbered(by_name)
    masks = {t: by_name.pop(name) for t, name in enumerate(frames.names) if name in by_name}
    if by_name:
        raise EvaluationError(
            f"{next(iter(by_name.values()))}: none of the clip's {len(frames.names)} frames has this name; expected "
            f"{frames.names[0]}.png to {frames.names[-1]}.png"
        )
    if not masks:
        raise EvaluationError(f"{folder}: has no PNG named after a frame; expected {frames.names[0]}.png or the like")
    return masks


def _pngs(folder: Path) -> dict[str, Path]:
    """Return the masks of a folder by stem.

    Raises:
        EvaluationError: the folder is missing, or two masks have one stem.
    """
    if not folder.is_dir():
        raise EvaluationError(f"{folder}: folder of annotations not found")
    found = _by_stem(folder, ("png",))
    for paths in found.values():
        if len(paths) > 1:
            raise EvaluationError(f"{paths[0]}: {paths[1].name} names the same frame; expected one mask: remove one")
    return {stem: paths[0] for stem, paths in found.items()}


def _numbered(by_name: dict[str, Path]) -> dict[str, Path]:
    """Return masks of a video by the frame's number, five digits; a name without a number stays as it is."""
    numbered: dict[str, Path] = {}
    for stem, path in by_name.items():
        number = re.search(r"\d+$", stem)
        name = f"{int(number[0]):05d}" if number else stem
        if name in numbered:
            raise EvaluationError(
                f"{path}: {numbered[name].name} names the same frame {int(name)}; expected one mask: remove one"
            )
        numbered[name] = path
    return numbered


def _by_stem(folder: Path, suffixes: tuple[str, ...]) -> dict[str, list[Path]]:
    """Return the files of a folder with one of these suffixes, in capitals or not, by stem; none without the folder."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir() if folder.is_dir() else ()):
        if suffix_of(path.name) in suffixes and not path.name.startswith("."):
            found.setdefault(path.stem, []).append(path)
    return found


def text_lines(path: Path) -> list[str]:
    """Return the lines of a text file in any encoding.

    Raises:
        EvaluationError: it cannot be read, or is not text.
    """
    return read_local_text(path, EvaluationError).split("\n")


def _listed(places: list[Path], what: str, known: Collection[str] = ()) -> list[str]:
    """Return the clips that the first list which exists names; a line that is a known name may have spaces."""
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        tried = ", ".join(str(place) for place in places[1:])
        raise EvaluationError(
            f"no list of {what}: looked for {tried}; correct data.root or data.split, or give a text file"
        )
    lines = [line.strip() for line in text_lines(found) if line.strip()]
    names = [line if line in known else _clip_of(line.split()[0]) for line in lines]
    return list(dict.fromkeys(names))


def _clip_of(path: str) -> str:
    """Return the clip that a path in a list names: its last part or, of an image, that of its folder."""
    parts = path.replace("\\", "/").rstrip("/").split("/")
    return parts[-2] if len(parts) > 1 and suffix_of(parts[-1]) in IMAGE_SUFFIXES else parts[-1]


def _folders(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise EvaluationError(f"{folder}: folder not found; data.root must contain it")
    names = sorted(
        {path.name if path.is_dir() else path.stem for path in folder.iterdir() if not path.name.startswith(".")}
    )
    if not names:
        raise EvaluationError(f"{folder}: empty; expected a folder or file for each clip")
    return names


def chosen(data: config.LabelledData, names: list[str]) -> list[str]:
    """Return the names that `data.clips` chooses, in the list's order; all of them if it chooses none.

    Raises:
        EvaluationError: a chosen clip is not in the list.
    """
    unknown = set(data.clips) - set(names)
    if unknown:
        raise EvaluationError(
            f"data.clips: {data.root} has no clip {sorted(unknown)[0]!r}; it has {', '.join(names[:20])}"
        )
    return [name for name in names if not data.clips or name in data.clips]
