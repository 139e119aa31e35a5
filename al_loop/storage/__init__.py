"""Files that a run keeps: checkpoints, artifacts, caches."""

from al_loop.storage.storage import (
    ArtifactFolder,
    Checkpoints,
    EvaluationCache,
    RescuedAnswers,
    hold,
    retry_write,
    write_whole,
)

__all__ = [
    "ArtifactFolder",
    "Checkpoints",
    "EvaluationCache",
    "RescuedAnswers",
    "hold",
    "retry_write",
    "write_whole",
]
