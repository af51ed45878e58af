"""Picture files of every kind, and their pixels as Pillow reads them: `pixels_pictures.py FRAME FOLDER [PICTURE…]`.

Writes FOLDER/NAME.EXT made from the picture FRAME, and for each of them and for every PICTURE one line of
FOLDER/pictures.json: path, width and height; its pixels are in FOLDER/N.rgb, N counting from 0. Needs Pillow.
"""

import json
import sys
from pathlib import Path

from PIL import Image, ImageOps

ORIENTATION = 0x0112


def main(frame, folder, pictures):
    image = Image.open(frame).convert("RGB").resize((157, 91), Image.BICUBIC)
    made = []

    def save(name, picture, **options):
        made.append(folder / name)
        picture.save(made[-1], **options)

    for sampling in ("4:4:4", "4:2:2", "4:2:0"):
        save(f"sampling{sampling.replace(':', '')}.jpg", image, quality=85, subsampling=sampling)
    save("progressive.jpg", image, quality=60, progressive=True)
    save("grey.jpg", image.convert("L"))
    save("cmyk.jpg", image.convert("CMYK"))
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        save(f"orientation{orientation}.jpg", image, exif=exif)
    transparent = image.copy()
    transparent.putalpha(image.convert("L"))
    for name, picture in dict(rgb=image, grey=image.convert("L"), alpha=transparent, palette=image.quantize(64), bit=image.convert("1")).items():
        save(f"{name}.png", picture)
    save("grey_alpha.png", transparent.convert("LA"))
    save("lossless.webp", image, lossless=True)
    save("alpha.webp", transparent, lossless=True, exact=True)
    save("rgb.bmp", image)
    save("rgb.tiff", image)
    save("lzw.tiff", image, compression="tiff_lzw")

    lines = []
    for index, path in enumerate(made + pictures):
        truth = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
        (folder / f"{index}.rgb").write_bytes(truth.tobytes())
        lines.append(dict(path=str(path), width=truth.width, height=truth.height))
    (folder / "pictures.json").write_text(json.dumps(lines))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), [Path(path) for path in sys.argv[3:]])
