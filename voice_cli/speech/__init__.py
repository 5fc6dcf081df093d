"""From text to PCM: the one assembly, which the player, the recorder and the server consume.

::

    lines ─▶ Narration ─▶ utterances ─▶ Speech ─▶ SpeechEvents
             asks ahead                 decodes, joins, converts, keeps the positions

`narration` is all that is needed until a request has been sent; `assembly` is imported after that.
"""
