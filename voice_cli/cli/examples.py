"""The examples and the groups in the help, by command. The man pages and the site have them, too."""

from voice_cli.cli import options, play_options

GROUPS = {
    "Speak": ("say", "play", "book", "replay", "history"),
    "Control": ("stop", "pause", "resume", "skip", "back", "speed", "volume", "queue", "status", "agent"),
    "Voices and settings": (
        *("voices", "engines", "devices", "profiles", "config", "cache"),
        *("doctor", "completion"),
    ),
    "Serve and measure": ("serve", "bench"),
    "Assistants": ("hooks", "mcp"),
}
"""The headings of `voice --help`, each with its commands in their order. Other commands come first."""

EXAMPLES = {
    "": (
        ('voice say "Hello there"', "speak"),
        ("voice say --help", "list the options of a command"),
    ),
    "say": options.EXAMPLES,
    "play": play_options.EXAMPLES,
    "book": (
        ("voice book moby.epub --list", "what would be read"),
        ("voice book moby.epub -o moby.m4b", "one file with chapters"),
        ("voice book notes.md -o notes/ -v en-gb", "a file a chapter"),
    ),
    "replay": (
        ("voice replay", "speak the last speech again"),
        ("voice replay 2", "speak the one before it again"),
    ),
    "history": (("voice history", "list the last speeches, each with its number"),),
    "cache": (("voice cache info", "what is kept"),),
    "cache info": (("voice cache info --json", "for programs"),),
    "cache clear": (("voice cache clear", "delete all"),),
    "stop": (
        ("voice stop", "stop the speech that is spoken"),
        ("voice stop --all", "stop those that wait, too"),
    ),
    "pause": (("voice pause", "pause; 'voice resume' continues at the same frame"),),
    "resume": (("voice resume", "continue at the same frame"),),
    "skip": (
        ("voice skip", "skip the rest of the sentence"),
        ("voice skip 3", "skip three sentences"),
    ),
    "back": (("voice back 2", "go back two sentences"),),
    "speed": (("voice speed 1.5", "half as fast again; the pitch stays"),),
    "volume": (("voice volume 0.5", "half as loud"),),
    "queue": (
        ("voice queue", "a table on a terminal, tab-separated lines in a pipe"),
        ("voice queue --json", "for programs"),
    ),
    "status": (("voice status", "what 'voice agent status' prints"),),
    "agent": (("voice agent status", "print what the agent does"),),
    "agent start": (("voice agent start", "start it before the first speech"),),
    "agent run": (("voice agent run", "run it in this terminal, until Ctrl-C"),),
    "agent stop": (
        ("voice agent stop", "after its speeches have ended"),
        ("voice agent stop --now", "at once"),
    ),
    "agent status": (("voice agent status --json", "for programs"),),
    "agent socket": (
        ("voice agent socket", "print the path"),
        ('ssh -R /tmp/voice.sock:"$(voice agent socket)" host', "speak here what the other machine says"),
    ),
    "agent log": (("voice agent log", "print what went wrong in the background"),),
    "agent install": (("voice agent install", "start it at each login, by systemd or launchd"),),
    "agent uninstall": (("voice agent uninstall", "remove the service"),),
    "voices": (
        ("voice voices", "list the installed voices"),
        ("voice voices --all --language de", "list the German ones that can be downloaded"),
        ("voice voices --base-url http://localhost:8880/v1", "list a server's voices"),
    ),
    "voices get": (
        ("voice voices get amy", "download a voice of 'voice voices --all'"),
        ("voice voices get ./amy.onnx --name amy", "add a file"),
    ),
    "voices remove": (("voice voices remove amy", "delete its files"),),
    "voices play": (
        ("voice voices play en-gb", "speak a sample"),
        ('voice voices play en-gb --text "Good morning"', "speak this text"),
    ),
    "voices use": (("voice voices use en-gb", "write it into the config file"),),
    "engines": (
        ("voice engines", "list them, and what they lack"),
        ("voice engines --test", "also time a sentence with each"),
    ),
    "profiles": (
        ("voice profiles", "list what --profile takes"),
        ("voice profiles show kokoro", "one as TOML, to change it in the config file"),
    ),
    "profiles show": (("voice profiles show kokoro", "the address, the voice and the other keys"),),
    "doctor": (
        ("voice doctor --tone", "check everything, and play a tone"),
        ("voice doctor -p kokoro", "check this profile's server, and all but the other servers"),
        ("voice doctor --json", "for programs"),
    ),
    "devices": (
        ("voice devices", "list them"),
        ('voice say "Hello" --device 1', "use one, by its index or a part of its name"),
    ),
    "config": (
        ("voice config init", "write a config file with every key, commented out"),
        ("voice config show", "print the settings in effect"),
    ),
    "config path": (('"$EDITOR" "$(voice config path)"', "edit the file"),),
    "config show": (
        ("voice config show", "print each setting and where it comes from"),
        ("voice config show --profile kokoro", "with the settings of a profile"),
    ),
    "config init": (("voice config init", "an existing file is kept; --force replaces it"),),
    "completion": (("voice completion install", "for the shell that you use"),),
    "completion install": (
        ("voice completion install zsh", "write the script, and a line that reads it into ~/.zshrc"),
    ),
    "completion show": (("voice completion show bash", "print the script, for packages"),),
    "serve": (
        ("voice serve", "serve the embedded voice on http://127.0.0.1:8880"),
        ("voice serve --profile kokoro --port 9000", "serve a profile's engine, model and voice"),
        (
            "voice serve --host 0.0.0.0 --api-key-env VOICE_KEY",
            "accept other machines, with the key in that variable",
        ),
    ),
    "bench": (
        ("voice bench", "run the current settings five times"),
        ("voice bench --all --html bench.html", "compare every profile, with waterfalls"),
        ("voice bench -n 1 --no-play --warm", "once, without a device, in this process"),
    ),
    "hooks": (("voice hooks install claude-code", "its replies and questions are spoken"),),
    "hooks list": (("voice hooks list", "list the programs with hooks, and the sessions"),),
    "hooks install": (("voice hooks install claude-code codex", "add hooks to the settings of both"),),
    "hooks uninstall": (("voice hooks uninstall claude-code", "remove them"),),
    "hooks mute": (
        ("voice hooks mute 3f2a", "the session whose id begins so"),
        ("voice hooks mute --all", "all, also new ones"),
    ),
    "hooks unmute": (("voice hooks unmute --all", "speak again"),),
    "hooks voice": (("voice hooks voice 3f2a en-gb", "give a session a voice of its own"),),
    "mcp": (("claude mcp add voice -- voice mcp", "add the tools to Claude Code"),),
}
"""Command lines, each with what it does, by command (`voices get`; the empty string is `voice` itself)."""
