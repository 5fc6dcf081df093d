# A formula for a tap. At a release, set `url` and `sha256` to those of the sdist on PyPI (CONTRIBUTING.md, Release).
# The dependencies are installed as wheels by pip, which homebrew-core does not permit. Not run on macOS yet.
class Voice < Formula
  desc "Streaming text to speech in a terminal"
  homepage "https://pypi.org/project/voice-cli/"
  url "https://files.pythonhosted.org/packages/source/v/voice-cli/voice_cli-0.1.0.tar.gz"
  sha256 "0000000000000000000000000000000000000000000000000000000000000000"
  license "MIT"

  depends_on "mpg123"
  depends_on "opus"
  depends_on "portaudio"
  depends_on "python@3.13"

  def install
    system "python3.13", "-m", "venv", libexec
    system libexec/"bin/pip", "install", "--no-cache-dir", buildpath
    bin.install_symlink libexec/"bin/voice"
    man1.install Dir[libexec/"share/man/man1/*.1"]
    generate_completions_from_executable(bin/"voice", "completion", "show", shells: [:bash, :zsh, :fish])
  end

  test do
    system bin/"voice", "say", "--no-play", "--save", "speech.wav", "Hello there"
    assert_operator (testpath/"speech.wav").size, :>, 10_000
  end
end
