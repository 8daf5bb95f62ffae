"""``model.json`` is read in every format there has been, and in none that is yet to come."""

import json
from typing import Any

import pytest
from toy_project import ToyProject

from mlops.artifact import model_folder
from mlops.project import files
from mlops.project.errors import MlopsError

FACTS = files.MODEL / model_folder.FACTS


def rewrite(**changed: Any) -> None:
    """Change keys of ``model.json``; None takes one away."""
    facts = json.loads(FACTS.read_text()) | changed
    FACTS.write_text(json.dumps({key: it for key, it in facts.items() if it is not None}))


def test_the_oldest_files_do_not_say_their_format(project: ToyProject) -> None:
    project.train(seed=1)
    rewrite(format=None)
    facts = model_folder.load(files.MODEL).facts
    assert (facts.format, facts.threshold) == (1, None)


def test_a_newer_format_is_one_sentence_that_says_what_to_do(project: ToyProject) -> None:
    project.train(seed=1)
    rewrite(format=model_folder.FORMAT + 1, invented_later=[1], task=None)
    with pytest.raises(MlopsError) as refused:
        model_folder.load(files.MODEL)
    assert str(refused.value) == (
        f"models/model.json has format {model_folder.FORMAT + 1}, and this version of mlops reads "
        f"formats up to {model_folder.FORMAT}; update the project (`cruft update`)"
    )


def test_a_key_that_its_format_does_not_have_is_damage(project: ToyProject) -> None:
    project.train(seed=1)
    rewrite(format=model_folder.FORMAT, invented=[1])
    with pytest.raises(MlopsError, match=r"model\.json is damaged: .*invented"):
        model_folder.load(files.MODEL)
