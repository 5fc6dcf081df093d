"""Books made by hand: EPUB 2 and 3, and PDF."""

import struct
import zipfile
import zlib

CONTAINER = (
    '<?xml version="1.0"?><container xmlns="urn:oasis:names:tc:opendocument:xmlns:container" version="1.0"><rootfiles>'
    '<rootfile full-path="OEBPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
)
XHTML = '<?xml version="1.0" encoding="utf-8"?><!DOCTYPE html><html xmlns="http://www.w3.org/1999/xhtml" \
xmlns:epub="http://www.idpf.org/2007/ops"><head><title>{title}</title></head><body>{body}</body></html>'


def png():
    """Return a picture of 8 by 8 pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + b"\x20\x40\x60" * 8 for _ in range(8))
    header = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def page(body, title="A page"):
    return XHTML.format(title=title, body=body)


def epub(path, pages, *, version=3, contents=(), extra=None, encrypted=(), linear=None):
    """Write an EPUB.

    Args:
        path: the file.
        pages: names to bodies, in the order of the spine.
        version: 3 has a navigation page, 2 an NCX.
        contents: the entries of the table of contents, as (href, title).
        extra: more parts, by name.
        encrypted: names of parts that are listed as encrypted.
        linear: names of pages to their `linear` in the spine.

    """
    items = [f'<item id="p{n}" href="{name}" media-type="application/xhtml+xml"/>' for n, name in enumerate(pages)]
    items.append('<item id="cover" href="images/cover.png" media-type="image/png" properties="cover-image"/>')
    linear = linear or {}
    refs = "".join(f'<itemref idref="p{n}" linear="{linear.get(name, "yes")}"/>' for n, name in enumerate(pages))
    parts = {f"OEBPS/{name}": page(body, name) for name, body in pages.items()}
    toc = ""
    if version == 3:
        items.append('<item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>')
        refs = '<itemref idref="nav"/>' + refs
        links = "".join(f'<li><a href="{href}">{title}</a></li>' for href, title in contents)
        marks = '<nav epub:type="landmarks"><ol><li><a href="nav.xhtml">Start</a></li></ol></nav>'
        parts["OEBPS/nav.xhtml"] = page(f'<nav epub:type="toc"><h1>Contents</h1><ol>{links}</ol></nav>{marks}')
    else:
        items.append('<item id="ncx" href="toc.ncx" media-type="application/x-dtbncx+xml"/>')
        toc = ' toc="ncx"'
        points = "".join(
            f'<navPoint id="n{n}"><navLabel><text>{title}</text></navLabel><content src="{href}"/></navPoint>'
            for n, (href, title) in enumerate(contents)
        )
        parts["OEBPS/toc.ncx"] = (
            '<?xml version="1.0"?><!DOCTYPE ncx PUBLIC "-//NISO//DTD ncx 2005-1//EN" '
            '"http://www.daisy.org/z3986/2005/ncx-2005-1.dtd">'
            f'<ncx xmlns="http://www.daisy.org/z3986/2005/ncx/" version="2005-1"><navMap>{points}</navMap></ncx>'
        )
    parts["OEBPS/book.opf"] = (
        f'<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf" version="{version}.0">'
        '<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>The &amp; Book</dc:title>'
        "<dc:creator>Ann Example</dc:creator><dc:creator>Bob Other</dc:creator><dc:language>en-GB</dc:language>"
        f"</metadata><manifest>{''.join(items)}</manifest><spine{toc}>{refs}</spine></package>"
    )
    if encrypted:
        data = "".join(
            '<enc:EncryptedData xmlns:enc="http://www.w3.org/2001/04/xmlenc#"><enc:CipherData>'
            f'<enc:CipherReference URI="{name}"/></enc:CipherData></enc:EncryptedData>'
            for name in encrypted
        )
        parts["META-INF/encryption.xml"] = f"<encryption>{data}</encryption>"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/epub+zip", zipfile.ZIP_STORED)
        archive.writestr("META-INF/container.xml", CONTAINER)
        archive.writestr("OEBPS/images/cover.png", png())
        for name, data in {**parts, **(extra or {})}.items():
            archive.writestr(name, data)
    return path


def pdf(path, pages, *, outline=(), title=None, password=None):
    """Write a PDF. `pages`: the lines of each. `outline`: (title, index of the page)."""
    from pypdf import PdfWriter
    from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

    writer = PdfWriter()
    font = {"/Type": "/Font", "/Subtype": "/Type1", "/BaseFont": "/Helvetica"}
    font = writer._add_object(DictionaryObject({NameObject(key): NameObject(name) for key, name in font.items()}))
    for lines in pages:
        sheet = writer.add_blank_page(600, 800)
        fonts = DictionaryObject({NameObject("/F1"): font})
        sheet[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
        drawn = DecodedStreamObject()
        shown = "".join(f"({line}) Tj 0 -20 Td " for line in lines)
        drawn.set_data(f"BT /F1 12 Tf 50 700 Td {shown}ET".encode())
        sheet[NameObject("/Contents")] = writer._add_object(drawn)
    for name, number in outline:
        writer.add_outline_item(title=name, page_number=number)
    if title is not None:
        writer.add_metadata({"/Title": title, "/Author": "Ann Example"})
    if password is not None:
        writer.encrypt(password)
    writer.write(path)
    return path
