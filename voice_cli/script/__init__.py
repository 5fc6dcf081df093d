"""From text, which may still be arriving, to lines. No I/O, no clock.

::

    text ─▶ terminal ─▶ markdown ─▶ dialogue ─▶ splitter ─▶ pronounce ─▶ lines
            no escape   no marks    speakers    utterances  replaced
            sequences                                       words

However the input of a part is cut, its joined output is the same. What a part buffers is bounded.
"""
