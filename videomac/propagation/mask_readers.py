"""Readers of mask data sets in their own folder layouts: DAVIS, VIP, and a generic one for people's own clips."""

from __future__ import annotations

from pathlib import Path

from videomac import config
from videomac.errors import EvaluationError
from videomac.propagation.clips import MaskClip
from videomac.propagation.frames import VIDEOS, Frames, find_frames


def davis_names(data: config.LabelledData) -> list[str]:
    """Sequences of the split: `ImageSets/2017/SPLIT.txt` (or 2016, or flat), or a text file.

    Raises:
        EvaluationError: no such list; the message names the places that were looked at.
    """
    root = Path(data.root)
    places = [root / "ImageSets" / year / f"{data.split}.txt" for year in ("2017", "2016", "")]
    return chosen(data, _listed([Path(data.split), *places], f"the DAVIS split {data.split!r}"))


def davis_clip(data: config.LabelledData, name: str) -> MaskClip:
    """One DAVIS sequence: `JPEGImages/RESOLUTION/NAME` and `Annotations/RESOLUTION/NAME`, every frame with its mask.

    The semi-supervised protocol scores all frames but the first and the last.

    Raises:
        EvaluationError: no frames, fewer than three, or a frame without its annotation.
    """
    root = Path(data.root)
    frames = find_frames(root / "JPEGImages" / data.resolution / name)
    folder = root / "Annotations" / data.resolution / name
    masks = {number: folder / f"{stem}.png" for number, stem in enumerate(frames.names)}
    absent = [path for path in masks.values() if not path.is_file()]
    if absent:
        raise EvaluationError(
            f"{absent[0]}: annotation missing ({len(absent)} of {len(masks)} frames of {name} have none); DAVIS scores "
            "every frame: use task=masks for clips with some labelled frames"
        )
    if len(masks) < 3:
        raise EvaluationError(
            f"{folder}: {len(masks)} frames; the protocol leaves out first and last and needs 3 or more"
        )
    return MaskClip(name, frames, masks, tuple(range(1, len(masks) - 1)))


def vip_names(data: config.LabelledData) -> list[str]:
    """Videos of the split: `lists/SPLIT.txt` or `SPLIT_videos.txt`, a text file, else every folder below `Images`.

    A line's first word counts, and of it the last part: the published lists (`.../Images/videos338 .../videos338`) do.
    """
    root = Path(data.root)
    places = [Path(data.split), root / "lists" / f"{data.split}.txt", root / "lists" / f"{data.split}_videos.txt"]
    if any(place.is_file() for place in places):
        return chosen(data, _listed(places, f"the VIP split {data.split!r}"))
    return chosen(data, _folders(root / "Images"))


def vip_clip(data: config.LabelledData, name: str) -> MaskClip:
    """One VIP video: `Images/NAME` and `Annotations/Category_ids/NAME`; all annotated frames are scored, the given too.

    Raises:
        EvaluationError: no frames, or no annotation of any.
    """
    root = Path(data.root)
    frames = find_frames(root / "Images" / name)
    masks = _masks_of(frames, root / "Annotations" / "Category_ids" / name)
    return MaskClip(name, frames, masks, tuple(sorted(masks)))


def own_names(data: config.LabelledData, labels: str) -> list[str]:
    """Clips of the generic layout: named in `lists/SPLIT.txt` or a text file, else all that `labels/` has."""
    root = Path(data.root)
    places = [Path(data.split), root / "lists" / f"{data.split}.txt"]
    if any(place.is_file() for place in places):
        return chosen(data, _listed(places, f"the split {data.split!r}"))
    return chosen(data, _folders(root / labels))


def own_frames(data: config.LabelledData, name: str) -> Frames:
    """Frames of a clip of the generic layout: `frames/NAME/` with images, or `videos/NAME.mp4` (mkv, webm, avi, mov).

    Raises:
        EvaluationError: neither is there.
    """
    root = Path(data.root)
    if (root / "frames" / name).is_dir():
        return find_frames(root / "frames" / name)
    for suffix in VIDEOS:
        if (root / "videos" / f"{name}{suffix}").is_file():
            return Frames((root / "videos" / f"{name}{suffix}",))
    raise EvaluationError(
        f"{root}: clip {name!r} has neither frames/{name}/ nor videos/{name}.mp4 ({', '.join(VIDEOS)})"
    )


def own_mask_clip(data: config.LabelledData, name: str) -> MaskClip:
    """A clip of the generic layout with `masks/NAME/FRAME.png` for some frames; scored are those after the first.

    Raises:
        EvaluationError: no frames, or fewer than two of them labelled.
    """
    frames = own_frames(data, name)
    masks = _masks_of(frames, Path(data.root) / "masks" / name)
    if len(masks) < 2:
        raise EvaluationError(
            f"{Path(data.root) / 'masks' / name}: 1 labelled frame; one is given, at least one is scored"
        )
    return MaskClip(name, frames, masks, tuple(sorted(masks))[1:])


def _masks_of(frames: Frames, folder: Path) -> dict[int, Path]:
    """Masks by frame number: of the same stem, or of the same number where a video has no stems."""
    if not folder.is_dir():
        raise EvaluationError(f"{folder}: no such folder of annotations")
    by_name = {path.stem: path for path in folder.glob("[!.]*.png")}
    if frames.is_video:
        by_name = {f"{int(stem):05d}": path for stem, path in by_name.items() if stem.isdigit()}
    masks = {number: by_name.pop(name) for number, name in enumerate(frames.names) if name in by_name}
    if by_name:
        raise EvaluationError(
            f"{next(iter(by_name.values()))}: no frame of this name among the clip's {len(frames.names)}"
        )
    if not masks:
        raise EvaluationError(f"{folder}: holds no PNG named as a frame, e.g. {frames.names[0]}.png")
    return masks


def _listed(places: list[Path], what: str) -> list[str]:
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        tried = ", ".join(str(place) for place in places[1:])
        raise EvaluationError(f"no list of {what}: looked for {tried}; set data.root, data.split or give a text file")
    names = [line.split()[0].rstrip("/") for line in found.read_text(encoding="utf-8").splitlines() if line.strip()]
    return [name.rsplit("/", 1)[-1] for name in names]


def _folders(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise EvaluationError(f"{folder}: no such folder; data.root must hold it")
    names = sorted(
        {path.name if path.is_dir() else path.stem for path in folder.iterdir() if not path.name.startswith(".")}
    )
    if not names:
        raise EvaluationError(f"{folder}: is empty; expected a folder or file per clip")
    return names


def chosen(data: config.LabelledData, names: list[str]) -> list[str]:
    """The names that `data.clips` leaves, in the list's order.

    Raises:
        EvaluationError: a chosen clip is not in the list, or the list is empty.
    """
    unknown = set(data.clips) - set(names)
    if unknown:
        raise EvaluationError(
            f"data.clips: no clip {sorted(unknown)[0]!r} in {data.root}; there are {', '.join(names[:20])}"
        )
    return [name for name in names if not data.clips or name in data.clips]
