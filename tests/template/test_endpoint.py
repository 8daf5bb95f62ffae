"""The answer `endpoint` adds one recipe, with its files and the project's name; none adds none."""

import json
from pathlib import Path

import pytest
from generation import ROOT, Generate, tracked
from page_rules import Tree, dead_links

FILES = {
    "none": [],
    "sagemaker": ["README.md", "container.json", "deployment.json"],
    "vertex-ai": ["README.md"],
    "azure-ml": ["README.md", "deployment.yml", "endpoint.yml"],
    "kserve": ["README.md", "inferenceservice.yaml"],
    "cloud-run": ["README.md"],
    "lambda": ["Dockerfile", "README.md", "deployment.json"],
}


def test_every_answer_is_looked_at_here() -> None:
    assert json.loads((ROOT / "cookiecutter.json").read_text())["endpoint"] == list(FILES)


@pytest.mark.parametrize("answer", FILES)
def test_a_project_has_the_recipe_of_its_endpoint_only(
    generate: Generate, tmp_path: Path, answer: str
) -> None:
    default = generate(folder=tmp_path / "default", project_name="Churn")
    project = generate(folder=tmp_path / "chosen", project_name="Churn", endpoint=answer)
    more = [f"deploy/endpoint/{answer}/{name}" for name in FILES[answer]]
    more += ["deploy/endpoint/sign-in.md"] if more else []
    assert tracked(project) == sorted(tracked(default) + more)
    assert (project / "deploy/endpoint").exists() == bool(more)
    listing = (project / "deploy/README.md").read_text(encoding="utf-8")
    assert [it for it in FILES if f"(endpoint/{it}/README.md)" in listing] == [answer] * bool(more)
    changed = {
        name
        for name in tracked(default)
        if (default / name).read_bytes() != (project / name).read_bytes()
    }
    watched = {".github/dependabot.yml"} if answer == "lambda" else set()
    assert changed == ({"deploy/README.md"} | watched if more else set())
    texts = [(project / name).read_text(encoding="utf-8") for name in more]
    assert not any("flight-delays" in text for text in texts)
    assert any("churn" in text for text in texts) == bool(more)
    tree = Tree(project)
    pages = [tree.page(name) for name in tree.files if name.endswith(".md")]
    assert [fault for page in pages for fault in dead_links(page, tree)] == []
