"""Does a long video need more memory than a short one? Peak resident memory of whole runs, each in its own process.

    python -m benchmarks.streaming_memory VIDEO AUDIO [--seconds 10 60] [--model mini] [--steps 1]

VIDEO and AUDIO are repeated to each length. Peak = resident memory of the process and its
ffmpeg children, sampled five times a second. Wanted: the longest within 10 % of the shortest.
Last figures: see benchmarks/README.md.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.clips import repeat_audio, repeat_video


def run_once(arguments: argparse.Namespace, seconds: float, folder: Path) -> dict[str, float]:
    """Lip-sync one length in a process of its own and give its report."""
    video = repeat_video(arguments.video, seconds, folder / f"video{seconds:g}.mp4")
    audio = repeat_audio(arguments.audio, seconds, folder / f"audio{seconds:g}.wav")
    report = folder / f"report{seconds:g}.json"
    command = [sys.executable, "-m", "latentsync_core", "lipsync", str(video), str(audio), str(folder / "out.mp4")]
    command += ["--model", arguments.model, "--quiet", "--report", str(report)]
    if arguments.steps:
        command += ["--steps", str(arguments.steps)]
    subprocess.run(command, check=True)
    result: dict[str, float] = json.loads(report.read_text())
    return result


def main() -> None:
    """Measure every length and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("audio", type=Path)
    parser.add_argument("--seconds", type=float, nargs="+", default=[10.0, 60.0])
    parser.add_argument("--model", default="mini")
    parser.add_argument("--steps", type=int)
    arguments = parser.parse_args()
    peaks = []
    with tempfile.TemporaryDirectory() as folder:
        for seconds in arguments.seconds:
            report = run_once(arguments, seconds, Path(folder))
            peaks.append(report["peak_host_memory_mib"])
            print(
                f"{seconds:6g} s  {report['frames']:6d} frames  peak {peaks[-1]:8.1f} MiB  {report['seconds_total']} s"
            )
            print("         " + json.dumps(report["seconds_per_stage"]))
    print(f"largest over smallest: {max(peaks) / min(peaks):.3f}")


if __name__ == "__main__":
    main()
