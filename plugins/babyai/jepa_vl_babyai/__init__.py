"""BabyAI as video-language data: clips of exact events with captions, classes and questions."""
