"""Text, or text still arriving, to utterances: pure functions of what was fed, no I/O, no clock.

::

    text ─▶ terminal ─▶ markdown ─▶ dialogue ─▶ splitter ─▶ utterances ─▶ pronounce ─▶ backend
            escapes     what is     who says    where to                  how a word
            dropped     read out    it          breathe                   is said

Each part is fed any cut of its input and gives, put together, what it would give fed whole. Each holds back a
bounded amount: what it may still need to understand what comes next.
"""
