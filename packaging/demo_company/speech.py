"""Voices on the telephone: espeak-ng speaks, sox makes it sound like a line.

Synthesis runs in other processes, so a few threads keep every core busy while
the rest of the day is drawn.
"""

import array
import subprocess
import tempfile
import wave
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .chance import Chance
from .talk import Script, Topic, said

# Names of one voice in the versions of espeak-ng that distributions carry; the first that works.
VOICES = {
    "english": ["en-gb", "en"],
    "american": ["en-us", "en"],
    "scottish": ["en-gb-scotland", "en"],
    "cantonese": ["yue", "zh-yue"],
    "mandarin": ["cmn-latn-pinyin", "cmn", "zh"],
}
ACCENTS = {"english": ["english", "american", "scottish"]}
SPEAKERS = ["+f1", "+f2", "+f3", "+f4", "+m1", "+m2", "+m3", "+m4", "+m7"]
PAUSE_SECONDS = 0.45
SHORT_LINES = 1
TELEPHONE = ["gain", "-n", "-4", "highpass", "300", "lowpass", "3400"]


@dataclass(frozen=True)
class Clip:
    """A finished piece of sound."""

    content: bytes
    seconds: float
    extension: str

    @property
    def mime(self) -> str:
        return {"wav": "audio/wav", "mp3": "audio/mpeg"}[self.extension]


@dataclass(frozen=True)
class Sentence:
    """Something to be said, and how."""

    text: str
    accent: str
    speaker: str
    words_a_minute: int


def run(*command: object) -> None:
    """Runs a program that must succeed, and shows what it said when it does not."""
    done = subprocess.run([str(part) for part in command], capture_output=True, check=False)
    if done.returncode != 0:
        said_last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise RuntimeError(f"{command[0]} failed: {' '.join(said_last) or done.returncode}")


class Studio:
    """Turns scripts into clips, some at a time."""

    def __init__(self, workers: int, short: bool) -> None:
        self._pool = ThreadPoolExecutor(workers)
        self._short = short

    def __enter__(self) -> "Studio":
        return self

    def __exit__(self, *_) -> None:
        self._pool.shutdown(cancel_futures=True)

    def record(self, script: Script, topic: Topic, chance: Chance) -> "Future[Clip]":
        """Begins a clip. Everything that is left to chance is drawn before this returns."""
        accent = {who: chance.choice(ACCENTS.get(script.language, [script.language])) for who in "CS"}
        speaker = dict(zip("CS", chance.sample(SPEAKERS, 2)))
        pace = {who: chance.randrange(140, 175) for who in "CS"}
        language = "en" if script.language == "english" else "zh"
        turns = script.turns[:SHORT_LINES] if self._short else script.turns
        sentences = [
            Sentence(said(turn, topic, language, chance), accent[turn.who], speaker[turn.who], pace[turn.who])
            for turn in turns
        ]
        extension = chance.choice(["wav", "mp3"])
        return self._pool.submit(make_clip, sentences, extension)


def make_clip(sentences: list[Sentence], extension: str) -> Clip:
    """Speaks the sentences one after the other and encodes them as a telephone system would."""
    with tempfile.TemporaryDirectory(prefix="company-") as folder:
        spoken, line = Path(folder, "spoken.wav"), Path(folder, "line.wav")
        join([speak(sentence, Path(folder, f"{n}.wav")) for n, sentence in enumerate(sentences)], spoken)
        # -D: dither is noise, and the same seed shall give the same bytes.
        run("sox", "-D", spoken, "-r", 8000, "-b", 16, "-c", 1, line, *TELEPHONE)
        with wave.open(str(line)) as sound:
            seconds = sound.getnframes() / sound.getframerate()
        if extension == "mp3":
            encoded = Path(folder, "line.mp3")
            run("lame", "--quiet", "-m", "m", "-b", 16, line, encoded)
            line = encoded
        return Clip(line.read_bytes(), seconds, extension)


def speak(sentence: Sentence, target: Path) -> Path:
    """Has one sentence spoken into a file."""
    voice = installed_voice(sentence.accent) + sentence.speaker
    run("espeak-ng", "-v", voice, "-s", sentence.words_a_minute, "-w", target, "--", sentence.text)
    return target


@cache
def installed_voice(accent: str) -> str:
    """The name under which this machine has a voice."""
    for name in VOICES[accent]:
        tried = subprocess.run(["espeak-ng", "-q", "-v", name, "a"], capture_output=True, check=False)
        if tried.returncode == 0:
            return name
    raise RuntimeError(f"espeak-ng has no {accent} voice")


def join(parts: list[Path], target: Path) -> None:
    """Puts sounds of one format behind each other, with a pause before each."""
    with wave.open(str(target), "wb") as out:
        for n, part in enumerate(parts):
            with wave.open(str(part)) as sound:
                if n == 0:
                    out.setparams(sound.getparams())
                pause_frames = int(sound.getframerate() * PAUSE_SECONDS)
                out.writeframes(array.array("h", bytes(2 * pause_frames)).tobytes())
                out.writeframes(sound.readframes(sound.getnframes()))
