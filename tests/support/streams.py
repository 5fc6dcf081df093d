"""Streams of speech, read to their end, whichever it is."""


def collect(stream):
    """Read it all; give the bytes, and what it ended with: an exception, or None."""
    sound = bytearray()
    try:
        for data in stream:
            sound += data
    except Exception as error:
        return bytes(sound), error
    return bytes(sound), None
