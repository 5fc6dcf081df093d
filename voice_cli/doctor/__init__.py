"""`voice doctor`: checks of what speech depends on. Each returns what it found, and a remedy if something is wrong."""
