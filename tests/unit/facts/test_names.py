"""A misspelt name is answered with the one that was meant, and with all that are known."""

from videomac.facts.names import did_you_mean, unknown


def test_the_closest_known_name_is_suggested_whatever_its_case():
    assert did_you_mean("jf-mean", ["J&F-Mean", "mIoU"]) == "; did you mean 'J&F-Mean'?"
    assert did_you_mean("entirely different", ["J&F-Mean", "mIoU"]) == ""


def test_all_known_names_are_listed():
    assert unknown("preset", "crww", ["crw", "dino"]) == "unknown preset 'crww'; did you mean 'crw'? (known: crw, dino)"
