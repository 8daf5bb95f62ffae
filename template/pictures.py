"""The pictures of README: parts of the page that the demo has left, as headless Chromium shows it.

``python template/pictures.py`` writes ``template/pictures/PART-SCHEME.webp``, for readers whose
screen is light and for those whose screen is dark. They look as on GitHub where the fonts Noto
Sans, Noto Color Emoji and Liberation Mono are installed."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageChops

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "build" / "demo" / "github" / "index.html"
FOLDER = ROOT / "template" / "pictures"
PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SCHEMES = {"dark": 0, "light": 1}  # as Chromium numbers them
LARGEST = 200_000  # bytes of a picture, which each reader of README loads
SHARPNESS = 2  # pixels of the picture for one of the page, as on most screens
MARGIN = 12  # pixels of the page around what is shown
HEIGHT = 2400  # pixels of the page: more than any part has

# What each part is wide, in pixels of the page, and the style that leaves only this part of it.
ONLY_THE_PULL_REQUEST = """
main > :not(#pull-requests), #pull-requests > :not(#number-1), footer { display: none; }
"""
PARTS = {
    # Down to the metrics and for whom they moved; the next table fades away.
    "comment": (
        936,
        f"""{ONLY_THE_PULL_REQUEST}
        .stand-in, .repository, .heading, .timeline::before {{ display: none; }}
        .timeline > :not(article:has(.wide)) {{ display: none; }}
        section.page {{ padding-top: {MARGIN}px; }}
        .markdown > .wide ~ .wide {{ height: 100px; overflow: hidden; }}
        .markdown > .wide ~ .wide ~ * {{ display: none; }}
        article > .box {{ mask-image: linear-gradient(to top, transparent 16px, black 130px); }}
        """,
    ),
    # From the name of the repository to the checks; of the comment, what one sees at once.
    "pull-request": (
        1044,
        f"""{ONLY_THE_PULL_REQUEST}
        article:has(.wide) .markdown {{
            max-height: 262px; overflow: hidden;
            mask-image: linear-gradient(to top, transparent, black 90px);
        }}
        .timeline > .box:has(> header) {{ display: none; }}
        """,
    ),
}


def main() -> None:
    if not PAGE.exists():
        sys.exit(f"No pictures: {PAGE.relative_to(ROOT)} is missing; run `make demo` first.")
    program = find_program()
    FOLDER.mkdir(exist_ok=True)
    for part in PARTS:
        for scheme in SCHEMES:
            path = take(part, scheme, program)
            print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1e3:.0f} kB", flush=True)


def find_program() -> str:
    """Return the Chromium that CHROMIUM names, or the first one on the PATH."""
    wanted = os.environ.get("CHROMIUM")
    for name in [wanted] if wanted else PROGRAMS:
        if found := shutil.which(name):
            return found
    sys.exit(
        f"No pictures: {wanted or 'Chromium'} is not on the PATH; install it (on Debian: "
        "apt-get install chromium), or name a browser made from it in CHROMIUM."
    )


def take(part: str, scheme: str, program: str) -> Path:
    """Write a picture of a part of the page, in one of the two schemes.

    Returns
    -------
    Path
        The file.
    """
    width, style = PARTS[part]
    page = PAGE.read_text(encoding="utf-8").replace("</head>", f"<style>{style}</style></head>", 1)
    # Beside the page: Ubuntu's Chromium, a snap, sees no folder for temporary files.
    with tempfile.TemporaryDirectory(dir=PAGE.parents[1]) as folder:
        only, shot = Path(folder, "page.html"), Path(folder, "shot.png")
        only.write_text(page, encoding="utf-8")
        command = [
            *(program, "--headless", "--disable-gpu", "--hide-scrollbars"),
            "--no-sandbox",  # root has none, nor have many runners; and the page runs no script
            f"--user-data-dir={folder}/profile",
            f"--force-device-scale-factor={SHARPNESS}",
            f"--window-size={width},{HEIGHT}",
            f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}",
            f"--screenshot={shot}",
            only.as_uri(),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        if not shot.exists():
            sys.exit(f"No pictures: {program} has written none.\n{done.stderr}")
        with Image.open(shot) as image:
            picture = trim(image.convert("RGB"))
    path = FOLDER / f"{part}-{scheme}.webp"
    picture.save(path, lossless=True, method=6)
    if path.stat().st_size > LARGEST:
        sys.exit(f"No pictures: {path} has {path.stat().st_size:,} bytes, more than {LARGEST:,}.")
    return path


def trim(image: Image.Image) -> Image.Image:
    """Cut off what is empty below; the corner at the bottom has its colour."""
    corner = image.getpixel((image.width - 1, image.height - 1))
    seen = ImageChops.difference(image, Image.new("RGB", image.size, corner)).getbbox()
    bottom = seen[3] if seen else image.height
    return image.crop((0, 0, image.width, min(image.height, bottom + MARGIN * SHARPNESS)))


if __name__ == "__main__":
    main()
