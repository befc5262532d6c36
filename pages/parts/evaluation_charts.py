"""Charts of one evaluated video, for Vega-Lite."""

from typing import Any

CHART_HEIGHT = 220  # pixels
FPS = 25
OURS, OLD, SOUND = "#14877d", "#d97706", "#8a9499"

Point = dict[str, float | None]


def series_points(series: dict[str, list[float | None]]) -> list[Point]:
    """Turn tracks of one value a frame into one point a frame: seconds, and each track's value."""
    frames = max((len(track) for track in series.values()), default=0)
    return [
        {"seconds": frame / FPS, **{name: track[frame] for name, track in series.items() if frame < len(track)}}
        for frame in range(frames)
    ]


def mouth_chart() -> dict[str, Any]:
    """The generated mouth and the source's old one over the loudness of the sound."""
    time = {"field": "seconds", "type": "quantitative", "title": "seconds"}
    loudness = {"field": "loudness", "type": "quantitative", "title": "sound, dB", "scale": {"domain": [-50, 0]}}
    sound = {
        "mark": {"type": "area", "color": SOUND, "opacity": 0.3, "clip": True},
        "encoding": {"x": time, "y": loudness, "y2": {"datum": -50}},
    }
    names = {"opening": "this video", "source_opening": "the source's old mouth"}
    mouths = [
        {
            "mark": {"type": "line", "strokeWidth": 2, "clip": True},
            "encoding": {
                "x": time,
                "y": {"field": name, "type": "quantitative", "title": "mouth opening"},
                "color": {
                    "datum": words,
                    "scale": {"domain": list(names.values()), "range": [OURS, OLD]},
                    "legend": {"orient": "top", "title": None},
                },
                "tooltip": [{"field": "seconds"}, {"field": name, "format": ".3f"}],
            },
        }
        for name, words in names.items()
    ]
    layers = [sound, {"layer": mouths}]
    return {"layer": layers, "resolve": {"scale": {"y": "independent"}}, "background": "transparent"}


def track_chart(name: str, title: str) -> dict[str, Any]:
    """One track over time."""
    return {
        "mark": {"type": "line", "color": OURS, "strokeWidth": 2},
        "encoding": {
            "x": {"field": "seconds", "type": "quantitative", "title": "seconds"},
            "y": {"field": name, "type": "quantitative", "title": title or None, "scale": {"zero": False}},
            "tooltip": [{"field": "seconds"}, {"field": name, "format": ".3g"}],
        },
        "background": "transparent",
    }
