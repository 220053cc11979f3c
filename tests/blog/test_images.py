"""Pictures: what is taken, what is refused and in what words, and what is left of a file."""

import struct
import threading
import zlib
from io import BytesIO

import pytest
from django.core.exceptions import ValidationError
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageCms, ImageDraw
from PIL.PngImagePlugin import PngInfo

from vestnik.blog import images, verbs
from vestnik.blog.models import Picture, Post, file_name

pytestmark = pytest.mark.django_db

RED, BLUE = (204, 0, 0), (0, 0, 204)


def drawn(width=640, height=400, mode="RGB"):
    """Red on the left, blue on the right."""
    image = Image.new("RGB", (width, height), RED)
    ImageDraw.Draw(image).rectangle((width // 2, 0, width, height), BLUE)
    return image.convert(mode)


def upload(image=None, kind="JPEG", name="picture.jpg", **how):
    content = BytesIO()
    (image or drawn()).save(content, kind, **how)
    return SimpleUploadedFile(name, content.getvalue())


def refusal(file):
    with pytest.raises(ValidationError) as refused:
        images.store(file)
    assert not Picture.objects.exists()
    [sentence] = refused.value.messages
    return sentence


def kept(picture, width=None, kind="jpg"):
    with default_storage.open(file_name(picture.key, width or picture.width, kind)) as file:
        return Image.open(BytesIO(file.read()))


def files(picture):
    try:
        return sorted(default_storage.listdir(f"blog/{picture.key}")[1])
    except FileNotFoundError:
        return []


def similar(colour, other):
    return all(abs(one - another) < 30 for one, another in zip(colour, other, strict=True))


# What is kept


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_picture_is_kept_in_several_widths_as_webp_and_jpeg(kind):
    picture = images.store(upload(drawn(2000, 1000), kind))
    assert (picture.width, picture.height, picture.widths) == (1600, 800, [480, 960, 1600])
    assert files(picture) == sorted(f"{width}.{kind}" for width in picture.widths for kind in ("webp", "jpg"))
    for width in picture.widths:
        for each, format_ in (("webp", "WEBP"), ("jpg", "JPEG")):
            image = kept(picture, width, each)
            assert (image.format, image.size) == (format_, (width, width // 2))
            assert similar(image.convert("RGB").getpixel((5, 5)), RED)
            assert similar(image.convert("RGB").getpixel((width - 5, 5)), BLUE)


def test_a_small_picture_is_not_made_larger():
    picture = images.store(upload(drawn(300, 200)))
    assert (picture.width, picture.height, files(picture)) == (300, 200, ["300.jpg", "300.webp"])


def test_the_same_picture_again_is_the_same():
    first = images.store(upload())
    assert images.store(upload(name="other.png")) == first
    assert Picture.objects.count() == 1


def test_a_jpeg_is_progressive_and_small():
    picture = images.store(upload(drawn(2000, 1000), quality=100))
    assert kept(picture).info["progressive"]
    assert default_storage.size(file_name(picture.key, 1600, "jpg")) < 60_000


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_up(orientation):
    """EXIF says how a camera was held: whichever way it was, the picture comes out as it was seen."""
    back = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    seen = drawn(2400, 1200)
    ImageDraw.Draw(seen).rectangle((0, 0, 400, 400), "white")
    lying = seen.transpose(back[orientation]) if orientation in back else seen
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    for kind in ("JPEG", "PNG", "WEBP"):
        picture = images.store(upload(lying, kind, exif=exif))
        image = kept(picture, 480)
        assert image.size == (480, 240)
        assert similar(image.getpixel((5, 5)), (255, 255, 255))
        assert similar(image.getpixel((5, 235)), RED)
        assert similar(image.getpixel((475, 5)), BLUE)
        Picture.objects.all().delete()


def test_no_metadata_is_left():
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = "Alice of Secret Street"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (56.0, 57.0, 0.0)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    text = PngInfo()
    text.add_text("Author", "Secret Street")
    secret = {"exif": exif, "icc_profile": profile, "xmp": b"<x:xmpmeta>Secret Street</x:xmpmeta>"}
    uploads = [
        upload(kind="JPEG", comment=b"Secret Street", **secret),
        upload(kind="WEBP", **secret),
        upload(drawn(641), kind="PNG", pnginfo=text, exif=exif, icc_profile=profile),
    ]
    for file in uploads:
        picture = images.store(file)
        for name in files(picture):
            with default_storage.open(f"blog/{picture.key}/{name}") as kept_file:
                content = kept_file.read()
            for trace in (b"Secret", b"Exif", b"EXIF", b"ICC", b"xmp", b"XMP", b"GPS"):
                assert trace not in content, (name, trace)


def test_colours_of_another_profile_become_those_of_srgb():
    lab = ImageCms.createProfile("LAB")
    srgb = ImageCms.createProfile("sRGB")
    image = ImageCms.profileToProfile(Image.new("RGB", (64, 64), RED), srgb, lab, outputMode="LAB")
    assert image is not None
    # a profile of other colours than the file's is passed over
    wrong = upload(Image.new("RGB", (64, 64), RED), icc_profile=ImageCms.ImageCmsProfile(lab).tobytes())
    assert similar(kept(images.store(wrong)).getpixel((9, 9)), RED)
    nonsense = upload(Image.new("RGB", (65, 64), RED), icc_profile=b"nonsense")
    assert similar(kept(images.store(nonsense)).getpixel((9, 9)), RED)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_pictures_of_every_kind_of_pixel_are_taken(mode):
    image = Image.new("I;16", (64, 64), 40_000) if mode == "I;16" else drawn(64, 64, mode)
    picture = images.store(upload(image, "PNG"))
    grey = kept(picture).convert("L").getpixel((9, 9))
    wanted = 156 if mode == "I;16" else image.convert("L").getpixel((9, 9))
    assert abs(grey - wanted) < 12


def test_a_cmyk_jpeg_is_taken():
    picture = images.store(upload(drawn(64, 64, "CMYK")))
    assert kept(picture).mode == "RGB"
    assert similar(kept(picture).getpixel((9, 9)), RED)


def test_what_is_transparent_stays_so_in_webp_and_is_white_in_jpeg():
    image = drawn(64, 64, "RGBA")
    image.putalpha(Image.new("L", (64, 64), 0))
    picture = images.store(upload(image, "PNG"))
    assert kept(picture, kind="webp").convert("RGBA").getpixel((9, 9))[3] == 0
    assert similar(kept(picture).getpixel((9, 9)), (255, 255, 255))


def test_a_photograph_with_a_second_picture_in_it_is_taken():
    """Telephones put a map of brightness behind the picture (MPO)."""
    picture = images.store(upload(kind="MPO", save_all=True, append_images=[drawn(320, 200)]))
    assert picture.width == 640


# What is refused


def bomb(width, height):
    """A PNG that says it has so many pixels, in a few bytes."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes(min(width // 8 + 2, 10_000) * min(height, 100)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "The file is empty."),
        (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script/></svg>', "of type SVG"),
        (b"GIF89a\x01\x00\x01\x00\x80\x00\x00", "of type GIF"),
        (b"<?php system($_GET['c']); ?>", "This is no picture"),
        (b"#!/bin/sh\nrm -rf /\n", "This is no picture"),
        (b"\x00\x00\x00\x18ftypheic\x00\x00", "of type HEIC"),
        (b"%PDF-1.7", "of type PDF"),
        (b"\x89PNG\r\n\x1a\n", "This is no picture"),
        (bomb(10_000, 10_000), "more than 40 megapixels"),
        (bomb(60_000, 60_000), "more than 40 megapixels"),
        (bomb(2_000_000_000, 2_000_000_000), "more than 40 megapixels"),
        (bomb(40_000, 1_000), "too long and thin"),
        (bomb(100, 0), "This is no picture"),
        (bytes((20 << 20) + 1), "at most 20.0"),
    ],
)
@pytest.mark.parametrize("name", ["picture.jpg", "picture.png"])
def test_what_is_no_picture_is_refused_with_a_sentence(content, sentence, name):
    file = SimpleUploadedFile(name, b"")
    file.file = BytesIO(content)
    assert sentence in refusal(file)


def test_a_gif_by_another_name_is_refused():
    assert "of type GIF" in refusal(upload(kind="GIF"))


def test_a_picture_of_forty_megapixels_is_taken():
    picture = images.store(upload(Image.new("L", (8000, 5000), 200), "PNG"))
    assert (picture.width, picture.height) == (1600, 1000)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_what_moves_is_refused(kind):
    moving = upload(drawn(64, 64), kind, save_all=True, append_images=[drawn(64, 64).rotate(90)])
    assert "The picture moves" in refusal(moving)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_what_is_cut_off_is_refused(kind):
    content = upload(drawn(900, 900), kind).read()
    assert refusal(SimpleUploadedFile("a.jpg", content[: len(content) // 2]))


def test_a_jpeg_that_is_gone_over_again_and_again_is_refused():
    """Each scan of sixty bytes takes a pass over forty million pixels: hours, in a file of a few megabytes."""
    content = upload(kind="JPEG", progressive=True).read()
    last = content[content.rindex(b"\xff\xda") : -2]
    assert "damaged" in refusal(SimpleUploadedFile("a.jpg", content[:-2] + last * 1000 + content[-2:]))
    comments = content[:2] + b"\xff\xfe\x00\x02" * 1000 + content[2:]
    assert "damaged" in refusal(SimpleUploadedFile("a.jpg", comments))


def test_a_jpeg_with_a_film_behind_it_is_taken():
    """Telephones put one there."""
    content = upload(kind="JPEG", quality=100, exif=b"Exif\0\0" + b"\xff\xda" * 5000).read() + b"\xff\xda" * 5000
    assert images.store(SimpleUploadedFile("a.jpg", content)).width == 640


def test_what_hides_behind_a_picture_is_gone():
    content = upload(kind="PNG").read() + b"<?php system($_GET['c']); ?>"
    picture = images.store(SimpleUploadedFile("a.png", content))
    for name in files(picture):
        with default_storage.open(f"blog/{picture.key}/{name}") as file:
            assert b"<?php" not in file.read()


def whole(kind):
    """A file with everything in it."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return upload(drawn(40, 30), kind, exif=exif, icc_profile=profile).read()


WHOLE = {kind: whole(kind) for kind in ("JPEG", "PNG", "WEBP")}


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_damage_to_a_file_breaks_anything(data):
    """Whatever is damaged: either a picture comes of it, or a sentence."""
    content = bytearray(WHOLE[data.draw(st.sampled_from(list(WHOLE)))])
    for place, value in data.draw(st.lists(st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255)))):
        content[place] = value
    content = content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content
    made, sentences = None, []
    try:
        made = images.store(BytesIO(content))
    except ValidationError as refused:
        sentences = refused.messages
    assert files(made) if made else len(sentences) == 1


# Storing


def test_nothing_is_left_where_a_file_cannot_be_written(monkeypatch):
    full, save, written = OSError("no space left"), default_storage.save, []

    def fail(name, content):
        if len(written) == 3:
            raise full
        written.append(save(name, content))

    monkeypatch.setattr("django.core.files.storage.default_storage.save", fail, raising=False)
    with pytest.raises(OSError, match="no space left"):
        images.store(upload(drawn(1700, 801)))
    assert len(written) == 3
    assert not any(default_storage.exists(name) for name in written)
    assert not Picture.objects.exists()


def test_what_somebody_left_half_written_is_written_again():
    picture = images.store(upload())
    name = file_name(picture.key, picture.width, "jpg")
    with default_storage.open(name, "wb") as file:
        file.write(b"half")
    Picture.objects.all().delete()
    assert images.store(upload()).key == picture.key
    assert kept(picture).size == (640, 400)


@pytest.mark.django_db(transaction=True)
def test_the_same_picture_uploaded_by_many_at_once_is_one():
    made, content = [], upload(drawn(700, 701)).read()

    def one():
        try:
            made.append(images.store(BytesIO(content)).pk)
        finally:
            connection.close()

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 4
    assert len(set(made)) == 1
    assert len(files(Picture.objects.get())) == 4


# Deleting


def post(picture=None, content="<p>Hello.</p>", title="Hello"):
    return verbs.save_post(Post(title=title, slug=title.lower(), content=content, picture=picture))


def test_who_would_wait_long_for_others_is_told_so(monkeypatch):
    monkeypatch.setattr(images, "PATIENCE_SECONDS", 0.05)
    with images._one_at_a_time, pytest.raises(ValidationError, match="Other pictures"):
        images.store(upload())
    assert images.store(upload()).pk


def test_a_picture_is_deleted_with_its_files(django_capture_on_commit_callbacks):
    picture = images.store(upload())
    with django_capture_on_commit_callbacks(execute=True):
        assert verbs.delete_pictures([picture]) == 1
        assert files(picture)
    assert files(picture) == []
    assert not default_storage.exists(f"blog/{picture.key}")


def test_a_picture_that_a_post_shows_is_not_deleted():
    picture, other = images.store(upload()), images.store(upload(drawn(300, 200)))
    post(picture, title="Spring")
    post(content=f'<p><img src="{picture.address(480)}" alt=""></p>', title="Summer")
    with pytest.raises(ValidationError, match=r"“Spring”, “Summer”\.") as refused:
        verbs.delete_pictures([other, picture])
    assert "shown" in {error.code for error in refused.value.error_list}
    assert Picture.objects.count() == 2


def test_files_of_a_picture_that_was_uploaded_again_stay(django_capture_on_commit_callbacks):
    picture = images.store(upload())
    with django_capture_on_commit_callbacks(execute=True), transaction.atomic():
        verbs.delete_pictures([picture])
        images.store(upload())
    assert files(picture)


def test_a_post_with_a_picture_that_is_gone_is_refused():
    picture = images.store(upload())
    address = picture.address(480)
    picture.delete()
    with pytest.raises(ValidationError) as refused:
        post(content=f'<p>Look: <img src="{address}"></p>')
    assert "kept here no more" in refused.value.message_dict["content"][0]
