"""``make pictures`` says what it lacks; README's pictures are there, small, of both schemes."""

import importlib.util
import shutil
from pathlib import Path
from types import ModuleType

import pytest
from generation import ROOT
from PIL import Image

FOLDER = ROOT / "template" / "pictures"
NAMES = {
    f"{part}-{scheme}.webp" for part in ("comment", "pull-request") for scheme in ("light", "dark")
}
PAGE = """<!DOCTYPE html><html><head><style>
:root { color-scheme: light dark; } .wide { background: #808080; height: 300px; }
</style></head><body><main><div id="pull-requests">
<section id="number-2"><div style="height: 900px; background: red"></div></section>
<section id="number-1"><div class="timeline"><article><div class="markdown"><div class="wide"></div>
</div></article></div></section>
</div></main></body></html>"""


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the module, for a folder that holds nothing yet."""
    spec = importlib.util.spec_from_file_location("pictures", ROOT / "template" / "pictures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    for name in ("PAGE", "FOLDER"):
        there = tmp_path / getattr(module, name).relative_to(ROOT)
        there.parent.mkdir(parents=True, exist_ok=True)
        monkeypatch.setattr(module, name, there)
    return module


def darkness(path: Path) -> str:
    """Return which scheme the corner of a picture is of."""
    with Image.open(path) as image:
        assert image.format == "WEBP"
        corner = image.convert("L").getpixel((image.width - 1, image.height - 1))
    assert isinstance(corner, int)
    return "dark" if corner < 64 else "light" if corner > 192 else "neither"


def test_the_pictures_of_readme_are_there_and_small(pictures: ModuleType) -> None:
    assert {path.name for path in FOLDER.iterdir()} == NAMES
    for path in FOLDER.iterdir():
        assert path.stat().st_size <= pictures.LARGEST
        assert path.stem.endswith(f"-{darkness(path)}")


def test_without_a_demo_it_says_what_to_run(pictures: ModuleType) -> None:
    with pytest.raises(SystemExit) as stopped:
        pictures.main()
    assert str(stopped.value) == (
        "No pictures: build/demo/github/index.html is missing; run `make demo` first."
    )


@pytest.mark.parametrize(("named", "said"), [("", "Chromium"), ("my-browser", "my-browser")])
def test_without_chromium_it_says_what_to_install(
    pictures: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, named: str, said: str
) -> None:
    pictures.PAGE.write_text(PAGE)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CHROMIUM", named)
    with pytest.raises(SystemExit) as stopped:
        pictures.main()
    assert str(stopped.value) == (
        f"No pictures: {said} is not on the PATH; install it (on Debian: apt-get install "
        "chromium), or name a browser made from it in CHROMIUM."
    )


def test_a_browser_that_fails_is_heard(
    pictures: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pictures.PAGE.write_text(PAGE)
    browser = tmp_path / "browser"
    browser.write_text("#!/bin/sh\necho no display >&2\n")
    browser.chmod(0o755)
    monkeypatch.setenv("CHROMIUM", str(browser))
    with pytest.raises(SystemExit, match=r"browser has written none\.\nno display"):
        pictures.main()
    assert not list(tmp_path.rglob("page.html"))


def test_what_is_too_large_is_refused(
    pictures: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pictures.PAGE.write_text(PAGE)
    pictures.FOLDER.mkdir()
    monkeypatch.setattr(pictures, "LARGEST", 10)
    drawn = tmp_path / "drawn.png"
    Image.new("RGB", (40, 40), "white").save(drawn)
    browser = tmp_path / "browser"
    browser.write_text(
        f'#!/bin/sh\nfor a; do case $a in --screenshot=*) cp {drawn} "${{a#*=}}";; esac; done\n'
    )
    browser.chmod(0o755)
    with pytest.raises(SystemExit, match=r"bytes, more than 10\.$"):
        pictures.take("comment", "light", str(browser))


def test_what_is_empty_below_is_cut_off(pictures: ModuleType) -> None:
    image = Image.new("RGB", (60, 400), "white")
    assert pictures.trim(image).size == (60, 400)
    image.paste("black", (10, 20, 30, 100))
    assert pictures.trim(image).size == (60, 100 + pictures.MARGIN * pictures.SHARPNESS)


CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_chromium_takes_one_part_of_the_page_in_a_scheme(pictures: ModuleType, scheme: str) -> None:
    pictures.PAGE.write_text(PAGE)
    pictures.FOLDER.mkdir()
    path = pictures.take("comment", scheme, str(CHROMIUM))
    assert path == pictures.FOLDER / f"comment-{scheme}.webp"
    assert darkness(path) == scheme
    with Image.open(path) as image:
        width, height = image.size
        assert image.convert("RGB").getpixel((width // 2, height // 2)) == (128, 128, 128)
    assert width == pictures.PARTS["comment"][0] * pictures.SHARPNESS
    assert 300 <= height / pictures.SHARPNESS < 400  # not the 900 of the other pull request
    first = path.read_bytes()
    assert pictures.take("comment", scheme, str(CHROMIUM)).read_bytes() == first
