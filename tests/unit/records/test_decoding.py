from videomac.records.decoding import MadeClip, PairsRequest, Slot, SourceRequest
from videomac.records.shards import Sample


def test_requests_survive_the_way_to_the_decoding_process():
    sample = Sample("k", "video", "s.tar", 512, 9, "a", 24.0, 1.0)
    pairs = PairsRequest(sample=sample, slots=(Slot(0, 1, 2), Slot(3, 0, 2)))
    assert PairsRequest.model_validate_json(pairs.to_json()) == pairs
    clip = MadeClip(
        files=("v.mp4",), frames=2, fps=1.0, width=4, height=3, duration=2.0, codec="h264", start=0.0, end=2.0
    )
    source = SourceRequest(op="convert", kind="video", files=("v.mp4",), folder="/tmp/x", end_s=1.5, probed=clip)
    assert SourceRequest.model_validate_json(source.to_json()) == source
