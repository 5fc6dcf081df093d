"""Voices of the engines in this process, by name: what is installed, what can be downloaded, and the download."""
