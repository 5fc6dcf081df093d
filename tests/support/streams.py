"""Read streams of speech."""


def collect(stream):
    """Read the whole stream; return its bytes and the exception that ended it, or None."""
    sound = bytearray()
    try:
        for data in stream:
            sound += data
    except Exception as error:
        return bytes(sound), error
    return bytes(sound), None
