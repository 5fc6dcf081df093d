"""From text to PCM, for the player, the recorder and the server::

    lines ─▶ Narration ─▶ utterances ─▶ Speech ─▶ SpeechEvents
             sends requests ahead       decodes, joins, converts

`assembly` is imported after the first request has been sent.
"""
