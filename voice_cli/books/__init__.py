"""From a file with a long text to chapters, and from their sound to one file or a folder of files.

::

    file ─▶ reading ─▶ chapters ─▶ (cli: speech) ─▶ sound.ChapterWriter ─▶ store ─▶ sound.join ─▶ audio book
            epub, html, plain, pdf                  one file a chapter      by key

A chapter's file has the name of its key, so it is found again after a crash, and if only other chapters have changed.
"""
