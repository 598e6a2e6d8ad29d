"""Using a trained model: from a run, a checkpoint or an exported folder to answers about videos."""

from jepa_vl.use.loading import load
from jepa_vl.use.matches import Match
from jepa_vl.use.model import Model
from jepa_vl.use.source import Stretch, Video, Videos

__all__ = ["Match", "Model", "Stretch", "Video", "Videos", "load"]
